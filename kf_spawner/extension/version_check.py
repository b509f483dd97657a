"""Whether an image fits the hub that started it. Pure: two versions in, words out."""


def version_mismatch(*, hub: str, image: str) -> str:
    """What to tell whoever reads the server's log; empty where the two fit.

    Versions fit when their first two numbers are the same: what hub and image say to each other (variables, the
    token's Secret, REST) changes with those. `hub` is empty where the hub does not say, as one of another kind does.
    """
    if not hub or hub.split(".")[:2] == image.split(".")[:2]:
        return ""
    return (
        f"this image is of kf_spawner {image}, and the hub that started it of {hub}: TFJobs, endpoints or the login "
        f"may not work. Start the server with an image that has the tag {hub}, or ask whoever runs the hub to offer "
        f"one (an image of your own: build it again on version {hub})"
    )
