"""A container's health check: exit code 0 while its server answers by HTTP, whatever it says but an error of its own.

    health.py PORT

Where the hub gave the server an address (JUPYTERHUB_SERVICE_URL), that address's port goes before PORT. Runs on
every Python that is in an image, 3.6 too.
"""

import http.client
import os
import sys
from urllib.parse import urlsplit

TIMEOUT = 4.0


def main():
    port = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", "")).port or int(sys.argv[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"port {port} does not answer: {error}")
    if status >= 500:
        sys.exit(f"port {port} answers {status}")


if __name__ == "__main__":
    main()
