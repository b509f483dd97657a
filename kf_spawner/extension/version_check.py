"""Whether an image fits the hub that started it. Pure: two versions in, words out."""


def version_mismatch(*, hub: str, image: str) -> str:
    """A message for the server's log; empty if the two fit.

    Versions fit when their first two numbers are the same: the interface between hub and image (variables, the
    token's Secret, REST) changes with those. `hub` is empty if the hub does not tell its version.
    """
    if not hub or hub.split(".")[:2] == image.split(".")[:2]:
        return ""
    return (
        f"this image has kf_spawner {image}, and the hub that started it has {hub}: TFJobs, endpoints or the login "
        f"may not work. Start the server with an image that has the tag {hub}, or ask whoever runs the hub to offer "
        f"one (an image of your own: build it again on version {hub})"
    )
