"""Whether a caller gave a secret. Pure, imports no room."""

import hmac


def is_secret(given: str, secret: str) -> bool:
    """Whether both are the same text; how long it takes says nothing about the secret.

    A caller's text may hold what is no UTF-8: bytes of a header, or half a character in JSON. That is no error.
    """
    return hmac.compare_digest(given.encode(errors="surrogatepass"), secret.encode(errors="surrogatepass"))
