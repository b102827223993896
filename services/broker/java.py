"""What Apache Kafka needs of this machine: a Java to run on, and its jars, which Maven resolves once."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from schemas.errors import BrokerError

POM = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "pom.xml"
OLDEST_JAVA = 17
MAVEN_TIMEOUT_SECONDS = 600.0
_ADVICE = "or use the embedded broker: riverrun broker start --engine embedded"


def find_java() -> Path:
    """Return a Java that is new enough: ``JAVA_HOME``'s, else the first on ``PATH``.

    Raises
    ------
    BrokerError
        There is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    wanted = f"install a JDK {OLDEST_JAVA} or newer, {_ADVICE}"
    if found is None:
        raise BrokerError(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, and there is no java on PATH: {wanted}")
    said = subprocess.run([found, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    version = java_version(said.stdout + said.stderr)
    if said.returncode or version is None or version < OLDEST_JAVA:
        got = f"version {version}" if version else f"exit status {said.returncode} from java -version"
        raise BrokerError(f"Apache Kafka needs Java {OLDEST_JAVA} or newer; {found}: got {got}: {wanted}")
    return Path(found)


def java_version(said: str) -> int | None:
    """Return the feature release from what ``java -version`` says; ``None`` when it says none.

    Examples
    --------
    >>> java_version('openjdk version "17.0.15" 2025-04-15'), java_version('java version "1.8.0_402"')
    (17, 8)
    >>> java_version("command not found") is None
    True
    """
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


def find_maven() -> Path:
    """Return the first Maven on ``PATH``.

    Raises
    ------
    BrokerError
        There is none.
    """
    found = shutil.which("mvn")
    if found is None:
        raise BrokerError(
            f"Apache Kafka's jars are fetched by Maven, and there is no mvn on PATH: install it, {_ADVICE}"
        )
    return Path(found)


def classpath() -> str:
    """Return the class path of the Kafka that ``deploy/kafka/pom.xml`` pins; asks Maven when the pom has changed.

    Raises
    ------
    BrokerError
        Maven is missing, or cannot resolve the jars.
    """
    try:
        digest = hashlib.sha256(POM.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise BrokerError(
            f"{POM}: no such file; Apache Kafka is started from riverrun's repository only: run it there, {_ADVICE}"
        ) from None
    cached = _cache_dir() / f"kafka-{digest}.classpath"
    if cached.is_file():
        jars = cached.read_text(encoding="utf-8").strip()
        if jars and all(Path(jar).is_file() for jar in jars.split(os.pathsep)):
            return jars
    return _resolve(cached)


def _cache_dir() -> Path:
    """Where a user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "riverrun"


def _resolve(cached: Path) -> str:
    """Ask Maven for the class path, and keep it."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    draft = cached.with_suffix(f".{os.getpid()}")
    command = [str(find_maven()), "-q", "-B", "-f", str(POM), "dependency:build-classpath"]
    command += [f"-Dmdep.outputFile={draft}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAVEN_TIMEOUT_SECONDS
        )
        if done.returncode or not draft.is_file():
            raise BrokerError(
                f"Maven cannot resolve {POM} (exit status {done.returncode}): {_complaint(done.stdout)}; "
                "see that it reaches a repository: mvn -f deploy/kafka/pom.xml dependency:resolve"
            )
        draft.replace(cached)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Maven did not resolve {POM} within {MAVEN_TIMEOUT_SECONDS:g} s") from None
    finally:
        draft.unlink(missing_ok=True)
    return cached.read_text(encoding="utf-8").strip()


def _complaint(said: str) -> str:
    """Return the lines in which Maven says what went wrong, and not those on how to ask it for more."""
    errors = [line.removeprefix("[ERROR] ").strip() for line in said.splitlines() if line.startswith("[ERROR] ")]
    words = [error for error in errors if error and not error.startswith(("->", "To see", "Re-run", "For more"))]
    return "; ".join(words[:3]) or said.strip()[-300:] or "it said nothing"
