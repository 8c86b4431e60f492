# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

import hashlib
import hmac
import re
import time

SIGNATURE_HEADER = "x-wechat-gateway-signature"
KEY_SIZE = 32  # bytes; HMAC itself would take an empty key, and anybody could sign with that
MAX_AGE = 300  # seconds, into the past and into the future


def verify(key, method, target, headers, body, now=None):
    """Tell whether the sidecar that holds the key (bytes) signed this request within the last minutes.

    Target is the path and ?query as they came, headers are pairs of name and value with none left out, and body is bytes,
    whole and as it came; now is in seconds.
    """
    signed = {}
    for name, value in headers:
        name = name.lower()
        if name.startswith("x-wechat-"):
            if name in signed:
                return False
            signed[name] = value
    parts = re.fullmatch("t=([0-9]{1,12}),v1=([0-9a-f]{64})", signed.pop(SIGNATURE_HEADER, ""))
    if len(key) != KEY_SIZE or not parts or abs(int(time.time() if now is None else now) - int(parts[1])) > MAX_AGE:
        return False
    lines = "".join(sorted(f"{name}:{value}\n" for name, value in signed.items()))
    text = f"v1\n{parts[1]}\n{method}\n{target}\n{lines}{hashlib.sha256(body).hexdigest()}\n"
    return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), parts[2])
