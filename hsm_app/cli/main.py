"""`hsm-vault`: the root command, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from contextlib import suppress

import click

from hsm_app import __version__
from hsm_app.errors import ConfigError, Denied, StoreError, VaultError
from hsm_app.process import protect

# Loaded when named, so that `hsm-vault client status` needs no PKCS#11 module and starts quickly.
GROUPS = {
    "audit": ("hsm_app.cli.audit", "Check how a fleet was made, from what was published about it."),
    "auditor": ("hsm_app.cli.auditor", "Sign manifests by the rules and keep the public log of them."),
    "backup": ("hsm_app.cli.backup", "Make and restore backups as age files; show the 64-digit key."),
    "ceremony": ("hsm_app.cli.ceremony", "Make a fleet's keys with custodians, and keep the transcript."),
    "client": ("hsm_app.cli.client", "Keep a backup key in the vault and get it back."),
    "config": ("hsm_app.cli.config", "Check configuration files."),
    "fleet": ("hsm_app.cli.fleet", "Make a fleet of tokens and look at it."),
    "log": ("hsm_app.cli.log", "Look at a public log of fleet keys."),
    "namespace": ("hsm_app.cli.namespace", "Counter-sign manifests as their operator."),
    "relay": ("hsm_app.cli.relay", "Run the relay, the public front door."),
    "replica": ("hsm_app.cli.replica", "Run a replica, the HSM application of one token."),
    "root-of-trust": ("hsm_app.cli.root_of_trust", "Say whom clients believe."),
    "software": ("hsm_app.cli.software", "Say which software runs, and compare it with what was published."),
    "tenant": ("hsm_app.cli.tenant", "Make tenant keys and account tokens, for development."),
    "token": ("hsm_app.cli.token", "Look at a PKCS#11 token and what it can do."),
    "witness": ("hsm_app.cli.witness", "Cosign logs that only ever grow."),
}

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class LazyGroups(click.Group):
    """A group whose subcommands live in modules of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        module = importlib.import_module(GROUPS[cmd_name][0])
        command = getattr(module, cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, GROUPS[name][1]) for name in sorted(GROUPS)])


@click.command(cls=LazyGroups, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hsm-vault")
def cli() -> None:
    """Keep the key of an end-to-end encrypted backup in a fleet of HSMs, behind a recovery code and ten guesses.

    Exit codes: 0 done, 2 wrong usage, 3 configuration, 4 protocol, 5 ceremony paused, 6 token, 7 no majority, 8 store,
    9 backup file, 10 log, bundle, evidence or software, 11 not proven, 20 and up refused by policy (21 wrong code,
    22 destroyed, 23 no record, 24 retry later, 25 account token, 26 stale, 27 owner's signature needed, 28 tenant's
    limit, 29 attempt id reused), 130 stopped, or not answered with yes, 141 nobody reads the output any more.
    """


def main() -> None:
    """Run the command line; every error of this project ends as one message and its exit code."""
    protect()
    try:
        code = cli.main(standalone_mode=False)
    except VaultError as error:
        click.echo(f"hsm-vault: {error}{_rest(error)}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("hsm-vault: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except PermissionError as error:  # whoever may not even look whether a file is there meets it anywhere
        click.echo(f"hsm-vault: cannot use {error.filename}: {error.strerror}. Check the rights to it", err=True)
        sys.exit(ConfigError.exit_code)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _let_go_of_output()
        with suppress(OSError):  # where this goes may be full, too
            click.echo(
                f"hsm-vault: cannot write: {error.strerror}. Make room for the output and run it again", err=True
            )
        sys.exit(StoreError.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _let_go_of_output() -> None:
    """Send what is still to be written nowhere: Python would try once more at its end, and end with another code."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _rest(error: VaultError) -> str:
    """What a refusal says in numbers, for people and for scripts that read the last line."""
    if not isinstance(error, Denied):
        return ""
    left = "" if error.attempts_left is None else f" [attempts left: {error.attempts_left}]"
    return left if error.retry_after is None else f"{left} [retry after: {error.retry_after} s]"


if __name__ == "__main__":
    main()
