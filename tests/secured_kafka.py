"""Apache Kafka that wants to know who asks: names with passwords, TLS, and what each may do."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.broker import KafkaBroker
from services.broker.ports import HOST, lasting_ports

_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class SecuredKafka:
    """A broker with three doors.

    Attributes
    ----------
    open
        Bootstrap servers without a password, for whoever is obeyed in everything.
    sasl
        Those that want a name and a password, and allow what was granted.
    tls
        Those that speak TLS, and want no name.
    ca
        File of the authority that the broker's certificate is from.
    """

    def __init__(self, open: str, sasl: str, tls: str, ca: Path, passwords: Mapping[str, str]) -> None:
        self.open, self.sasl, self.tls, self.ca = open, sasl, tls, ca
        self._passwords = passwords

    def environment(self, user: str, password: str | None = None) -> dict[str, str]:
        """Return the settings of a user, whose password may be wrong."""
        return {
            "RIVERRUN_BOOTSTRAP_SERVERS": self.sasl,
            "RIVERRUN_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "RIVERRUN_SASL_MECHANISM": "PLAIN",
            "RIVERRUN_SASL_USERNAME": user,
            "RIVERRUN_SASL_PASSWORD": password or self._passwords[user],
        }


@contextmanager
def secured_kafka(folder: Path, passwords: Mapping[str, str]) -> Iterator[SecuredKafka]:
    """Run a broker whose users have these passwords, and may do nothing yet."""
    sasl, tls = (f"{HOST}:{port}" for port in lasting_ports(2))
    ca = _certificate(folder)
    users = " ".join(f'user_{user}="{password}"' for user, password in passwords.items())
    further = {
        "listeners": f"SASL://{sasl},TLS://{tls}",
        "advertised.listeners": f"SASL://{sasl},TLS://{tls}",
        "listener.security.protocol.map": "SASL:SASL_PLAINTEXT,TLS:SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{_LOGIN} {users};",
        "listener.name.tls.ssl.keystore.type": "PEM",
        "listener.name.tls.ssl.keystore.location": str(folder / "broker.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with KafkaBroker(folder / "broker", dies_with_parent=True, further=further) as bootstrap:
        yield SecuredKafka(bootstrap, sasl, tls, ca, passwords)


def _certificate(folder: Path) -> Path:
    """Make a certificate that has signed itself, and the file that the broker wants of it and its key."""
    key, certificate = folder / "key.pem", folder / "ca.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    named = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}", "-days", "2"]
    subprocess.run([*made, *named], check=True, capture_output=True)
    (folder / "broker.pem").write_text(key.read_text() + certificate.read_text())
    return certificate
