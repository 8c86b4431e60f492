-- The check of WeChat's signature, and of the timestamp's age. A URL check is answered here.
local ffi = require "ffi"

ffi.cdef [[ unsigned char *ngx_hex_dump(unsigned char *dst, const unsigned char *src, size_t len); ]]

local token = "BenchToken1"
local window = 300 -- seconds
local C, sha1, sort, concat = ffi.C, ngx.sha1_bin, table.sort, table.concat
local buffer = ffi.new("unsigned char[40]")
local check = {}

local function sign(parts)
  sort(parts)
  C.ngx_hex_dump(buffer, sha1(concat(parts)), 20)
  return ffi.string(buffer, 40)
end

local function fresh(timestamp)
  local seconds = tonumber(timestamp)
  return seconds and math.abs(ngx.time() - seconds) <= window
end

function check.plaintext()
  local var = ngx.var
  local timestamp, nonce = var.arg_timestamp, var.arg_nonce
  if not nonce or not fresh(timestamp) or sign({token, timestamp, nonce}) ~= var.arg_signature then
    return ngx.exit(403)
  end
  if ngx.req.get_method() == "GET" then
    local echostr = var.arg_echostr or ""
    ngx.header.content_type = "text/plain"
    ngx.header.content_length = #echostr
    ngx.print(echostr)
    return ngx.exit(200)
  end
end

function check.envelope()
  local var = ngx.var
  local timestamp, nonce = var.arg_timestamp, var.arg_nonce
  if not nonce or not fresh(timestamp) then
    return ngx.exit(403)
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data() or ""
  local _, from = body:find("<Encrypt><![CDATA[", 1, true)
  local to = from and body:find("]]></Encrypt>", from, true)
  if not to or sign({token, timestamp, nonce, body:sub(from + 1, to - 1)}) ~= var.arg_msg_signature then
    return ngx.exit(403)
  end
end

return check
