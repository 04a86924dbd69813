"""The signature of requests that Turnout sends, so that their receiver knows who sent them, and when."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """``v1=`` and the hex HMAC-SHA256 under ``secret`` of the timestamp in decimal, a full stop and the body."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def signed_headers(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a request with ``body`` sent at ``at``: the time in seconds since 1970, and the signature."""
    timestamp = int(at.timestamp())
    return {"turnout-timestamp": str(timestamp), "turnout-signature": signature(secret, timestamp, body)}
