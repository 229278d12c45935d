"""A real PostgreSQL server for tests: its own data directory, a Unix socket and a free port of its own.

Made with Debian's `postgresql` package; where that is missing, tests fail and say what to install. The server refuses
to run as root, so for root it runs as the package's user `postgres`. Ended by process id.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psycopg

from hsm_app.store.postgres_place import PostgresPlace

PATIENCE = 240  # seconds
ACCOUNT = "postgres"  # of the operating system; made by the package
_AS_ACCOUNT = ("setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups")  # then it is that very process


def program(name: str) -> str:
    """Return the path of a server program; Debian keeps them out of PATH, a directory for each version."""
    found = shutil.which(name) or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    if found is None:
        raise AssertionError(f"PostgreSQL's {name} is missing; run: apt-get install -y postgresql")
    return str(Path(found).resolve())


class PostgresServer:
    """One server with one superuser and, for the stores, one user who owns one database."""

    def __init__(self, port: int) -> None:
        """Make the data directory; start nothing."""
        self.directory = Path(tempfile.mkdtemp(prefix="vault-postgres-"))
        self.port = port
        self.password = secrets.token_hex(16)
        self.password_file = self.directory / "password"
        self._data = self.directory / "data"
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._account = pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None
        self.directory.chmod(0o755)
        self.password_file.touch(mode=0o600)
        self.password_file.write_text(self.password + "\n")
        for path in (self._data, self.directory / "socket"):
            path.mkdir(mode=0o755)
            self._give(path)
        self._initialise()

    def _initialise(self) -> None:
        secret = self.directory / "superuser"
        secret.touch(mode=0o600)
        secret.write_text(self.password + "\n")
        self._give(secret)
        words = ("--auth=scram-sha-256", f"--pwfile={secret}", "--username=admin", "--wal-segsize=1", "--no-sync")
        self._run(program("initdb"), f"--pgdata={self._data}", *words)

    def start(self, *, file_limit: int | None = None) -> None:
        """Start the server and wait until it answers. `file_limit` bounds each of its files, in bytes."""
        limit = () if file_limit is None else (shutil.which("prlimit") or "prlimit", f"--fsize={file_limit}")
        settings = {"unix_socket_directories": self.directory / "socket", "listen_addresses": "127.0.0.1",
                    "port": self.port, "max_wal_size": "8MB", "min_wal_size": "2MB"}  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = self._start(*limit, program("postgres"), "-D", str(self._data), *options, log=log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{self._log.read_text()}")
            time.sleep(0.05)

    def create_user(self) -> None:
        """Make the user and the database of the stores."""
        self.execute(f"CREATE USER vault PASSWORD '{self.password}'", "CREATE DATABASE vault OWNER vault")

    def kill(self) -> None:
        """End every process of the server by SIGKILL, the postmaster first, as a dying machine would."""
        if self._process is None:
            return
        pid = self._process.pid
        backends = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
        for each in (pid, *map(int, backends)):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        self._process.wait()
        for each in map(int, backends):  # until then they hold the memory that a new server asks for
            while _runs(each):
                time.sleep(0.01)

    def stop(self) -> None:
        """End the server and remove its directory."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)  # at once: what it holds is thrown away
            self._process.wait(timeout=PATIENCE)
        shutil.rmtree(self.directory)

    def place(self, schema: str, *, by_port: bool = False) -> PostgresPlace:
        host = "127.0.0.1" if by_port else str(self.directory / "socket")
        return PostgresPlace(
            host=host, port=self.port, database="vault", user="vault", schema=schema, password_file=self.password_file
        )

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser, each by itself; return the rows of the last, if it gives any."""
        with closing(self.session(database)) as session:
            for statement in statements:
                cursor = session.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def session(self, database: str) -> psycopg.Connection:
        """Open a session of the superuser."""
        host = str(self.directory / "socket")
        return psycopg.connect(
            host=host, port=self.port, dbname=database, user="admin", password=self.password, autocommit=True
        )

    def _answers(self) -> bool:
        try:
            self.session("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _run(self, *words: str) -> None:
        with self._log.open("ab") as log:
            process = self._start(*words, log=log)
            if process.wait() != 0:
                raise AssertionError(f"{words[0]} failed:\n{self._log.read_text()}")

    def _start(self, *words: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        as_account = () if self._account is None else _AS_ACCOUNT
        return subprocess.Popen(
            (*as_account, *words),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )


def _runs(pid: int) -> bool:
    """Say whether a process is there and no zombie; what was its child is init's by now."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def running(port: int, **limits: int) -> Iterator[PostgresServer]:
    """A server that runs, with its user and database, until the end."""
    server = PostgresServer(port)
    try:
        server.start()
        server.create_user()
        if limits:
            server.kill()
            server.start(**limits)
        yield server
    finally:
        server.stop()
