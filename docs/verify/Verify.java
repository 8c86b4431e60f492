// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Checks the gateway signature of a request. Needs Java 17 and nothing else. */
public final class Verify {
    private static final String SIGNATURE_HEADER = "x-wechat-gateway-signature";
    private static final int KEY_SIZE = 32; // bytes
    private static final long MAX_AGE = 300; // seconds, into the past and into the future
    private static final Pattern SIGNATURE = Pattern.compile("t=([0-9]{1,12}),v1=([0-9a-f]{64})");

    private Verify() {}

    /**
     * Tells whether the sidecar that holds the key signed this request within the last minutes. Target is the path and ?query
     * as they came, headers are all of the request's, and body is whole and as it came; now is in seconds.
     */
    public static boolean verify(byte[] key, String method, String target, Map<String, List<String>> headers, byte[] body, long now)
            throws GeneralSecurityException {
        var signed = new TreeMap<String, String>();
        for (var header : headers.entrySet()) {
            var name = header.getKey().toLowerCase(Locale.ROOT);
            if (name.startsWith("x-wechat-")
                    && (header.getValue().size() != 1 || signed.put(name, header.getValue().get(0)) != null)) {
                return false;
            }
        }
        var signature = signed.remove(SIGNATURE_HEADER);
        var parts = SIGNATURE.matcher(signature == null ? "" : signature);
        if (key.length != KEY_SIZE || !parts.matches() || Math.abs(now - Long.parseLong(parts.group(1))) > MAX_AGE) {
            return false;
        }
        var lines = new TreeSet<String>();
        signed.forEach((name, value) -> lines.add(name + ":" + value + "\n"));
        var hex = HexFormat.of();
        var digest = hex.formatHex(MessageDigest.getInstance("SHA-256").digest(body));
        var text = "v1\n" + parts.group(1) + "\n" + method + "\n" + target + "\n" + String.join("", lines) + digest + "\n";
        var mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return MessageDigest.isEqual(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)), hex.parseHex(parts.group(2)));
    }
}
