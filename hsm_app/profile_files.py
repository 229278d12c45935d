"""The profiles that come with the program, read from the package."""

from __future__ import annotations

from pathlib import Path

from hsm_app.errors import ConfigError
from hsm_app.profiles.profile import Profile, parse_profile

DATA = Path(__file__).with_name("profiles") / "data"


def read_profiles(directory: Path = DATA) -> tuple[Profile, ...]:
    """Return all profiles by name. ConfigError when one cannot be read, or has another name than its file."""
    try:
        files = {path: path.read_bytes() for path in sorted(directory.glob("*.toml"))}
    except OSError as error:
        raise ConfigError(f"cannot read {directory}: {error.strerror}", "Install this program again") from error
    if not files:
        raise ConfigError(f"there is no profile in {directory}", "Install this program again")
    return tuple(_named(parse_profile(raw, path.name), path) for path, raw in files.items())


def read_profile(name: str) -> Profile:
    """Return the profile `name`. ConfigError lists the names when there is none."""
    profiles = {profile.name: profile for profile in read_profiles()}
    if name not in profiles:
        raise ConfigError(f"there is no profile {name!r}", f"There are: {', '.join(profiles)}")
    return profiles[name]


def _named(profile: Profile, path: Path) -> Profile:
    if profile.name != path.stem:
        raise ConfigError(f"{path.name} is the profile of {profile.name}", f"Name the file {profile.name}.toml")
    return profile
