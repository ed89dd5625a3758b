"""Who runs the measurement: nginx is told to stay that user."""

from __future__ import annotations

import grp
import os
import pwd


def user_and_group() -> str:
    """Return the names of this process's user and group, as nginx's `user` takes them."""
    return f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
