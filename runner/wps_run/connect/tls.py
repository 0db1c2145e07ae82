"""Which certificates are trusted: the system's, and those of a file."""

import ssl

from wps_run.problems import SettingsError


def trusting(file: str) -> ssl.SSLContext:
    """A context that trusts the system's CAs and those in a file.

    Args:
        file: A file of certificates in PEM form (`-----BEGIN CERTIFICATE-----`).

    Raises:
        SettingsError: It cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise SettingsError(
            f"the CA bundle `{file}` holds no certificate in PEM form "
            "(`-----BEGIN CERTIFICATE-----`)"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot read the CA bundle `{file}`: {error.strerror}") from None
    return context
