-- The check of WeChat's signature, and of the timestamp's age.
local token = "BenchToken1"
local window = 300 -- seconds
local sort, concat, abs, now = table.sort, table.concat, math.abs, core.now

local function sign(txn, parts)
  sort(parts)
  return txn.c:hex(txn.c:sha1(concat(parts))):lower()
end

local function check(txn, name, encrypt)
  local timestamp, nonce = txn.sf:url_param("timestamp"), txn.sf:url_param("nonce")
  local seconds = tonumber(timestamp)
  if seconds and abs(now().sec - seconds) <= window then
    txn:set_var("txn.valid", sign(txn, {token, timestamp, nonce, encrypt}) == txn.sf:url_param(name))
  end
end

core.register_action("plaintext", {"http-req"}, function(txn)
  check(txn, "signature")
end)

core.register_action("envelope", {"http-req"}, function(txn)
  local body = txn.sf:req_body()
  local _, from = body:find("<Encrypt><![CDATA[", 1, true)
  local to = from and body:find("]]></Encrypt>", from, true)
  if to then
    check(txn, "msg_signature", body:sub(from + 1, to - 1))
  end
end)
