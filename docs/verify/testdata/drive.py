# Copyright The WeChatEndpoint Authors.
# SPDX-License-Identifier: Apache-2.0

import base64
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from verify import verify  # noqa: E402

r = json.load(sys.stdin)
genuine = verify(base64.b64decode(r["key"]), r["method"], r["target"], r["headers"], base64.b64decode(r["body"]), r["now"])
print("true" if genuine else "false")  # a crash exits 1 too, but says nothing
sys.exit(0 if genuine else 1)
