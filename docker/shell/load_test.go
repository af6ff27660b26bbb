package shell

import "testing"

// page is what the test's web server says.
const page = "HTTP/1.1 200 OK\r\nServer: nginx/1.11.5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

// The reports of ab and hey, and what they say where there is no server or the command line is wrong.
func TestLoadGenerators(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":80", replyWith(page))
	b.expect(b.c1, "ab -n 20 -c 4 http://172.17.0.3/", `
This is ApacheBench, Version 2.3 *
***
Benchmarking 172.17.0.3 (be patient).....done


Server Software:        nginx/1.11.5
Server Hostname:        172.17.0.3
Server Port:            80

Document Path:          /
Document Length:        5 bytes

Concurrency Level:      4
Time taken for tests:   # seconds
Complete requests:      20
Failed requests:        0
Total transferred:      1680 bytes
HTML transferred:       100 bytes
Requests per second:    # [*sec] (mean)
Time per request:       # [ms] (mean)
Time per request:       # [ms] (mean, across all concurrent requests)
Transfer rate:          # [Kbytes/sec] received

Connection Times (ms)
              min  mean[+/-sd] median   max
Connect: ***
Total: ***
 100%  *# (longest request)`, 0)
	b.expect(b.c1, "hey -n 20 -c 4 http://172.17.0.3/", `

Summary:
  Total:	# secs
  Slowest:	# secs
  Fastest:	# secs
  Average:	# secs
  Requests/sec:	#
  
  Total data:	100 bytes
  Size/request:	5 bytes

Response time histogram:
***
Latency distribution:
  10% in # secs
***
Details (average, fastest, slowest):
  DNS+dialup:	# secs, # secs, # secs
***
Status code distribution:
  [200]	20 responses

`, 0)
	b.each(b.c1, []says{
		{"hey -n 4 -c 2 http://172.17.0.3:81/ | tail -1", "  [4]\tGet \"http://172.17.0.3:81/\": dial tcp 172.17.0.3:81: connect: connection refused", 0},
		{"ab http://172.17.0.3:81/ 2>&1 | tail -2", "apr_socket_recv: Connection refused (111)\nTotal of 0 requests completed", 0},
		{"hey -n 1 -c 2 http://web/ 2>&1 | head -3", "-n cannot be less than -c.\n\nUsage: hey [options...] <url>", 0},
		{"hey -nope http://web/ 2>&1 | head -1", "flag provided but not defined: -nope", 0},
		{"ab -n 1 -c 2 http://web/", "ab: Cannot use concurrency level greater than total number of requests\nUsage: ab ***", 22},
		{"ab http://web", "ab: invalid URL\nUsage: ab ***", 22},
	})
}

// Connections stay where both sides want it.
func TestLoadKeepsConnections(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":80", replyWith(page))
	b.expect(b.c1, "ab -q -k -n 6 -c 2 http://172.17.0.3/ | grep -e Keep-Alive -e Complete", "Complete requests:      6\nKeep-Alive requests:    0", 0)
	b.expect(b.c1, "until hey -z 50ms -c 2 -q 100 http://172.17.0.3/ | grep responses; do :; done", "  [200]\t# responses", 0)
}

// Where a way leads, and how wide it is (16.6).
func TestPathTools(t *testing.T) {
	b := newBench(t)
	b.expect(b.c1, "tracepath -n 192.168.56.1", `
 1?: [LOCALHOST]                      pmtu 1500
 1:  172.17.0.1                                            *#ms 
 2:  192.168.56.1                                          *#ms reached
     Resume: pmtu 1500 hops 2 back 2 `, 0)
	b.run(b.host, "ip link set eth0 mtu 1400")
	b.expect(b.c1, "tracepath -n 192.168.56.1", `
 1?: [LOCALHOST]                      pmtu 1500
 1:  172.17.0.1                                            *#ms 
 2:  172.17.0.1                                            *#ms pmtu 1400
 2:  192.168.56.1                                          *#ms reached
     Resume: pmtu 1400 hops 2 back 2 `, 0)
	b.expect(b.c1, "tracepath 2>&1 | sed -n 2,3p", "Usage\n  tracepath [options] <destination>", 0)
	b.expect(b.c1, "mtr -n -r -c 3 -i 0.01 192.168.56.1", `
Start: *
HOST: c1                           Loss%   Snt   Last   Avg  Best  Wrst StDev
  1.|-- 172.17.0.1                   0.0%     3    *
  2.|-- 192.168.56.1                 0.0%     3    *`, 0)
	b.expect(b.c1, "mtr -nj -c 1 172.17.0.3 | grep -e host -e Snt", "                \"host\": \"172.17.0.3\",\n                \"Snt\": 1,", 0)
}
