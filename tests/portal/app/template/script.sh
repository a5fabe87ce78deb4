#!/bin/bash
echo "script ${order:?}"
exec python3 -c '
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = repr((self.path, self.headers.get("Host"), self.headers.get("Cookie"), self.headers.get("Authorization"))).encode()
        self.send_response(200); self.send_header("Set-Cookie", "app=1"); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["port"])), H).serve_forever()
'
