// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.TreeMap;
import java.util.regex.Pattern;

/** The JDK reads no JSON. The test writes it without a space and without an escape, so that patterns do. */
final class Drive {
    public static void main(String[] args) throws Exception {
        var request = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        if (request.contains("\\")) {
            throw new IllegalArgumentException("this reads no escapes");
        }
        var headers = new TreeMap<String, List<String>>(String.CASE_INSENSITIVE_ORDER);
        var pairs = Pattern.compile("\\[\"([^\"]*)\",\"([^\"]*)\"\\]").matcher(request);
        while (pairs.find()) {
            headers.computeIfAbsent(pairs.group(1), name -> new ArrayList<>()).add(pairs.group(2));
        }
        var decoder = Base64.getDecoder();
        var genuine = Verify.verify(
                decoder.decode(field(request, "key")), field(request, "method"), field(request, "target"), headers,
                decoder.decode(field(request, "body")), Long.parseLong(field(request, "now")));
        System.out.println(genuine); // a crash exits 1 too, but says nothing
        System.exit(genuine ? 0 : 1);
    }

    private static String field(String request, String name) {
        var value = Pattern.compile("\"" + name + "\":\"?([^\",}]*)").matcher(request);
        if (!value.find()) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value.group(1);
    }
}
