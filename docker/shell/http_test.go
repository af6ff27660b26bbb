package shell

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

const okReply = "HTTP/1.1 200 OK\r\nServer: nginx/1.11.5\r\nContent-Length: 6\r\n\r\nhello\n"

// serveHTTP opens servers of many kinds in c2.
func (b *bench) serveHTTP() {
	b.serve(b.c2, ":80", replyWith(okReply))
	b.serve(b.c2, ":81", replyWith("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n"))
	b.serve(b.c2, ":82", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }) // nothing
	b.serve(b.c2, ":83", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })     // for ever
	b.serve(b.c2, ":84", replyWith("HTTP/1.1 302 Found\r\nLocation: http://c2:80/next\r\nContent-Length: 0\r\n\r\n"))
	b.serve(b.c2, ":85", replyWith("-ERR unknown command\r\n"))
	b.serve(b.c2, ":86", replyWith("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"))
	b.serve(b.c2, ":87", replyWith("HTTP/1.0 200 OK\r\n\r\nREQUEST\n"))
	s := httptest.NewTLSServer(nil)
	s.Close()
	b.serve(b.c2, ":443", func(c net.Conn) { replyWith(okReply)(tls.Server(c, s.TLS)) })
}

// curl's statuses and texts (16.9).
func TestCurl(t *testing.T) {
	b := newBench(t)
	b.serveHTTP()
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"curl c2", "hello", 0},
		{"curl -s http://172.17.0.3:80/", "hello", 0},
		{"curl -s -o /dev/null -w '%{http_code} %{size_download} %{remote_ip}:%{remote_port}\\n' c2", "200 6 172.17.0.3:80", 0},
		{"curl -s -o /tmp/page c2; cat /tmp/page", "hello", 0},
		{"curl -i c2 | tr -d '\\r'", "HTTP/1.1 200 OK\nServer: nginx/1.11.5\nContent-Length: 6\n\nhello", 0},
		{"curl -sI c2 | head -1 | tr -d '\\r'", "HTTP/1.1 200 OK", 0},
		{"curl -v 127.0.0.1:8080", "* Rebuilt URL to: 127.0.0.1:8080/\n*   Trying 127.0.0.1...\ncurl: (7) Failed to connect to 127.0.0.1 port 8080: Connection refused", 7},
		{"curl -s c2:9", "", 7},
		{"curl -sS c2:9", "curl: (7) Failed to connect to c2 port 9: Connection refused", 7},
		{"curl http://172.17.0.9:80/", "curl: (7) Failed to connect to 172.17.0.9 port 80: No route to host", 7},
		{"curl foo", "curl: (6) Could not resolve host: foo", 6},
		{"curl -f c2:81", "curl: (22) The requested URL returned error: 404 Not Found", 22},
		{"curl c2:81", "no", 0},
		{"curl c2:82", "curl: (52) Empty reply from server", 52},
		{"curl -m 0.2 c2:83", "curl: (28) Operation timed out after # milliseconds with 0 bytes received", 28},
		{"curl -m 0.3 http://172.17.0.9:80/", "curl: (28) Connection timed out after # milliseconds", 28},
		{"curl --connect-timeout 0.3 http://172.17.0.9:80/", "curl: (28) Connection timed out after # milliseconds", 28},
		{"curl c2:84", "", 0},
		{"curl -L c2:84", "hello", 0},
		{"curl c2:85", "curl: (1) Received HTTP/0.9 when not allowed", 1},
		{"curl c2:86", "shortcurl: (18) transfer closed with 95 bytes remaining to read", 18},
		{"curl c2:87/a?b=c", "GET /a?b=c HTTP/1.1", 0},
		{"curl -X PUT c2:87/", "PUT / HTTP/1.1", 0},
		{"curl -d x=1 -d y=2 c2:87", "POST / HTTP/1.1", 0},
		{"curl -G -d x=1 c2:87", "GET /?x=1 HTTP/1.1", 0},
		{"curl -sk https://c2", "hello", 0},
		{"curl -s https://c2", "", 60},
		{"curl -sk https://c2:81", "", 35},
		{"curl --resolve foo:80:172.17.0.3 foo", "hello", 0},
		{"curl ftp://c2/", "curl: (1) Protocol \"ftp\" not supported or disabled in libcurl", 1},
		{"curl -Z c2", "curl: option -Z: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information", 2},
		{"curl --retry 1 --retry-delay 0 --retry-connrefused -sS c2:9", "curl: (7) Failed to connect to c2 port 9: Connection refused", 7},
	} {
		b.expect(b.c1, tt.line, tt.want, tt.status)
	}
	b.expect(b.c1, "curl -v c2 2>&1 >/dev/null | sed 's/ $//'", `
* Rebuilt URL to: c2/
*   Trying 172.17.0.3...
* Connected to c2 (172.17.0.3) port 80 (*)
> GET / HTTP/1.1
> Host: c2
> User-Agent: curl/7.47.0
> Accept: *
>
< HTTP/1.1 200 OK
< Server: nginx/1.11.5
< Content-Length: 6
<
* Connection *0 to host c2 left intact`, 0)
}

// wget in busybox's looks and GNU's.
func TestWget(t *testing.T) {
	b := newBench(t)
	b.serveHTTP()
	busy := &System{NS: b.c1.NS, Flavour: Busybox}
	b.each(busy, []says{
		{"wget -qO- http://c2/", "hello", 0},
		{"wget http://c2/ && cat index.html", "hello\nConnecting to c2 (172.17.0.3:80)\n'index.html' saved [6]", 0},
		{"wget -O- c2:9", "Connecting to c2:9 (172.17.0.3:9)\nwget: can't connect to remote host (172.17.0.3): Connection refused", 1},
		{"wget -qO- c2:81", "wget: server returned error: HTTP/1.1 404 Not Found", 1},
		{"wget -q foo", "wget: bad address 'foo'", 1},
		{"wget -q -T 0.2 -O- c2:83", "wget: download timed out", 1},
	})
	b.expect(b.c1, "wget -qO- c2:84", "hello", 0)
	b.expect(b.c1, "wget -qO- c2:81; echo $?; wget -q c2:9; echo $?; wget -q --spider c2; echo $?", "8\n4\n0", 0)
}

// nc talks, scans and serves.
func TestNc(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":7", func(c net.Conn) { _, _ = io.Copy(c, c) })
	b.each(b.c1, []says{
		{"echo hi | nc c2 7", "hi", 0},
		{"nc -zv c2 7", "Connection to c2 7 port [tcp/*] succeeded!", 0},
		{"nc -zv -w 1 c2 8", "nc: connect to c2 port 8 (tcp) failed: Connection refused", 1},
		{"nc -zv c2 6-7 2>&1 | grep -c succeeded", "1", 0},
		{"nc -zuv c2 9", "", 1},
		{"nc -l -p 99 & sleep 0.05; echo one | nc -w 1 127.0.0.1 99; wait", "one", 0},
		{"nc -u -l -w 2 98 & sleep 0.05; echo two | nc -u -w 0.1 127.0.0.1 98; wait", "two", 0},
		{"nc foo 1", "nc: getaddrinfo: Name or service not known", 1},
		{"echo hi | timeout 10 telnet c2 7", "Trying 172.17.0.3...\nConnected to c2.\nEscape character is '^]'.\nhi\nConnection closed by foreign host.", 0},
	})
}

// dig, nslookup, host and getent ask the server of resolv.conf (16.8).
func TestNames(t *testing.T) {
	b := newBench(t)
	b.serveNames()
	busy := &System{NS: b.c1.NS, Flavour: Busybox, Files: b.c1.Files}
	b.expect(b.c1, "dig +short web", "172.17.0.3", 0)
	b.expect(b.c1, "dig @c2 +tries=1 web A", `***;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: #
;; flags: qr rd ra; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0

;; QUESTION SECTION:
;web.				IN	A

;; ANSWER SECTION:
web.			600	IN	A	172.17.0.3

;; Query time: # msec
;; SERVER: 172.17.0.3*53(172.17.0.3)
***`, 0)
	b.expect(b.c1, "dig +short AAAA web; dig +noall +answer A web", "web.			600	IN	A	172.17.0.3\n", 0) // the type may come first
	b.expect(b.c1, "dig +noall +answer web", "web.			600	IN	A	172.17.0.3\n", 0)
	b.expect(b.c1, "dig +short -x 172.17.0.99", "", 0)
	b.expect(b.c1, "dig +short +tries=1 +time=1 @172.17.0.1 web", ";; connection timed out; no servers could be reached", 9)
	b.expect(b.c1, "nslookup web", "Server:		172.17.0.3\nAddress:	172.17.0.3*53\n\nNon-authoritative answer:\nName:	web\nAddress: 172.17.0.3\n", 0)
	const server = "Server:		172.17.0.3\nAddress:	172.17.0.3*53\n\n"
	b.expect(b.c1, "nslookup -type=aaaa web", server+"*** Can't find web: No answer\n", 0)
	b.expect(b.c1, "nslookup -q=a web", server+"Non-authoritative answer:\nName:	web\nAddress: 172.17.0.3\n", 0)
	b.expect(b.c1, "nslookup -query=ptr 172.17.0.3", server+"** server can't find 3.0.17.172.in-addr.arpa: SERVFAIL\n", 1)
	b.expect(b.c1, "nslookup -type=mx nope", server+"** server can't find nope: SERVFAIL\n", 1)
	b.expect(b.c1, "nslookup -type=b -port=53 web", "*** Invalid option: type=b\n"+server+"Non-authoritative answer:\nName:	web\n***", 0)
	b.expect(b.c1, "nslookup -timeout=1 -retry=0 10.0.0.1 172.17.0.1", ";; connection timed out; no servers could be reached\n", 1)
	b.expect(b.c1, "host web", "web has address 172.17.0.3", 0)
	b.expect(b.c1, "host -t aaaa web", "web has no AAAA record", 0)
	b.expect(b.c1, "host -t b web", "host: invalid type: b", 2)
	b.expect(b.c1, "getent hosts web c2", "172.17.0.3      web\n172.17.0.3      c2", 0)
	b.expect(b.c1, "getent hosts nope", "", 2)
	b.expect(busy, "nslookup web", "Server:    172.17.0.3\nAddress 1: 172.17.0.3\n\nName:      web\nAddress 1: 172.17.0.3 c2", 0)
	b.expect(busy, "nslookup nope", "***nslookup: can't resolve 'nope'", 1)
	b.expect(b.c1, "dig -y", "Invalid option: -y\nUsage:  dig ***", 1)
}

// redis-cli sends commands and says why it cannot.
func TestRedis(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":6379", replyWith("+PONG\r\n"))
	b.expect(b.c1, "redis-cli -h c2 ping; echo ping | redis-cli -h c2", "PONG\nPONG", 0)
	b.expect(b.c1, "redis-cli -h c2 -p 1 ping", "Could not connect to Redis at c2:1: Connection refused", 1)
	b.expect(b.c1, "redis-cli -h foo ping", "Could not connect to Redis at foo:6379: Name or service not known", 1)
}

// What waits ends with the context, as with Ctrl-C.
func TestInterrupted(t *testing.T) {
	b := newBench(t)
	b.serveHTTP()
	for _, line := range []string{"ping -i 0.05 c2", "sleep 100", "curl c2:83", "wget -q c2:83", "nc -l 9", "nc -l -u 9", "tcpdump -i eth0", "cat", "yes > /dev/null",
		"while :; do :; done", "nc c2 83", "sleep 100 | cat", "traceroute -w 50 172.17.0.9", "dig @172.17.0.9 x",
		"nslookup x 172.17.0.9", "nslookup 10.0.0.1 172.17.0.9", "nslookup -type=mx x 172.17.0.9", "host x 172.17.0.9", "seq 1 1000000000 > /dev/null"} {
		start := time.Now()
		b.expectInterrupted(line)
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("%s took %v to end", line, took)
		}
	}
}

// --cert and --key show who one is, --cacert says whom one trusts.
func TestCurlCertificates(t *testing.T) {
	b := newBench(t)
	s := httptest.NewUnstartedServer(nil)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	s.Close()
	b.serve(b.c2, ":443", func(c net.Conn) { replyWith(okReply)(tls.Server(c, s.TLS)) })
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	crt, key := block("CERTIFICATE", s.Certificate().Raw), block("PRIVATE KEY", der)
	made := map[string]string{"/certs/own.crt": crt, "/certs/own.key": key, "/certs/both": crt + key}
	sys := &System{NS: b.c1.NS, Flavour: Full}
	sys.Files = func(p string) ([]byte, bool) {
		if text, ok := made[p]; ok || b.c1.Files == nil {
			return []byte(text), ok
		}
		return b.c1.Files(p)
	}
	sys.Paths = func() []string { return []string{"/certs/own.crt", "/certs/own.key", "/certs/both"} }
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"ls /certs", "both\nown.crt\nown.key", 0},
		{"cd /certs && curl -sk --cert own.crt --key own.key https://c2", "hello", 0},
		{"curl -sk -E /certs/both https://c2", "hello", 0},
		{"curl -s -E /certs/both --cacert /certs/own.crt --resolve example.com:443:172.17.0.3 https://example.com", "hello", 0},
		{"curl -s -E /certs/both --cacert /certs/own.crt https://c2", "", 60},
		{"curl -sSk https://c2", "curl: (35) SSL connect error: remote error: tls: certificate required", 35},
		{"curl -sSk -E /certs/own.crt https://c2", "curl: (58) could not load PEM client certificate: *", 58},
		{"curl -sSk -E /none https://c2", "curl: (58) could not load PEM client certificate, no such file: /none", 58},
		{"curl -sSk -E /certs/own.crt --key /none https://c2", "curl: (58) unable to set private key file, no such file: /none", 58},
		{"curl -sS --cacert /certs/own.key https://c2", "curl: (77) error setting certificate verify locations: CAfile: /certs/own.key", 77},
	} {
		b.expect(sys, tt.line, tt.want, tt.status)
	}
}
