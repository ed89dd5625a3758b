"""The compiled core, written by hand and compared with the built module by stubtest."""

__all__ = [
    "build_info",
]

def build_info() -> dict[str, str]:
    """Say how the native module was built.

    Returns:
        `version`, `profile` (`release` or `debug`), `features` (with commas between), `target` (`linux-x86_64`).
    """
