// The check of WeChat's signature, and of the timestamp's age. A URL check is answered here.
import crypto from 'crypto';

const token = 'BenchToken1';
const window = 300; // seconds

const sign = parts => crypto.createHash('sha1').update(parts.sort().join('')).digest('hex');
const fresh = timestamp => Math.abs(Date.now() / 1000 - Number(timestamp)) <= window;

function plaintext(r) {
  const q = r.args;
  if (!q.nonce || !fresh(q.timestamp) || sign([token, q.timestamp, q.nonce]) !== q.signature) {
    r.return(403);
  } else if (r.method === 'GET') {
    r.headersOut['Content-Type'] = 'text/plain';
    r.return(200, q.echostr);
  } else {
    r.internalRedirect('@app');
  }
}

function envelope(r) {
  const q = r.args, body = r.requestText || '', opening = '<Encrypt><![CDATA[';
  const from = body.indexOf(opening) + opening.length, to = body.indexOf(']]></Encrypt>', from);
  if (!q.nonce || !fresh(q.timestamp) || from < opening.length || to < 0 ||
      sign([token, q.timestamp, q.nonce, body.substring(from, to)]) !== q.msg_signature) {
    r.return(403);
  } else {
    r.internalRedirect('@app');
  }
}

export default {plaintext, envelope};
