package hostile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// answers reads one request, and answers it as it likes.
func answers(name string, do func(net.Conn, *http.Request)) Habit {
	return Habit{name, func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 8<<20))
			do(c, r)
		}
	}}
}

// says answers with a status, headers and a body.
func says(name, status, headers, body string) Habit {
	return answers(name, func(c net.Conn, _ *http.Request) {
		fmt.Fprintf(c, "HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, headers, len(body), body)
	})
}

// Web are habits of a web server, whatever it is asked. Elsewhere is the address of a thief, to whom it would lead its
// clients.
func Web(elsewhere string) []Habit {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	for range 600 {
		_, _ = w.Write(bytes.Repeat([]byte("<x>"), 1<<20/3))
	}
	_ = w.Close()
	flat := line(4000)
	return []Habit{
		{"says nothing", silence},
		{"hangs up at once", func(net.Conn) {}},
		{"says something else without end", func(c net.Conn) { flood(c, Evil) }},
		answers("sends headers without end", func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			flood(c, "X-More: "+strings.ReplaceAll(flat, "\x00", "")+"\r\n")
		}),
		answers("sends a body without end", func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(
				c,
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n",
			)
			flood(c, fmt.Sprintf("%x\r\n%s\r\n", len(flat), flat))
		}),
		answers("sends a body that trickles", func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			for {
				if _, err := io.WriteString(c, "<"); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}),
		answers("sends less than it promised", func(c net.Conn, _ *http.Request) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<?xml")
			_ = c.Close()
		}),
		says(
			"packs half a gigabyte into little",
			"200 OK",
			"Content-Encoding: gzip\r\nContent-Type: text/xml\r\n",
			bomb.String(),
		),
		says("leads elsewhere by 301", "301 Moved", "Location: "+elsewhere+"\r\n", ""),
		says("leads elsewhere by 302", "302 Found", "Location: "+elsewhere+"\r\n", ""),
		says("leads elsewhere by 307", "307 Temporary Redirect", "Location: "+elsewhere+"\r\n", ""),
		says("leads elsewhere by 308", "308 Permanent Redirect", "Location: "+elsewhere+"\r\n", ""),
		says("leads elsewhere by a location of controls", "307 "+flat[:200], "Location: http://"+flat[:500]+"\r\n", ""),
		says("has a status of controls", "500 "+flat, "", Evil),
		says("has a status that is none", "999 "+flat[:100], "", Evil),
		says(
			"refuses at length",
			"400 Bad Request",
			"Content-Type: application/json\r\n",
			`{"message":"`+strings.Repeat(`\u0000\u001b[2J\u009b31m\u202e no`, 20_000)+`"}`,
		),
		says(
			"refuses the login with controls",
			"401 Unauthorized",
			"Content-Type: application/json\r\nWWW-Authenticate: "+flat[:100]+"\r\n",
			`{"message":"\u001b[2J"}`,
		),
		says(
			"answers with a page",
			"200 OK",
			"Content-Type: text/html\r\n",
			"<html><title>Login</title>"+Evil+"</html>",
		),
		says("answers with noise", "200 OK", "Content-Type: text/xml\r\n", Novel(300_000)),
		says("answers with an empty body", "200 OK", "", ""),
		says("answers with null", "200 OK", "Content-Type: application/json\r\nETag: \"-1\"\r\n", "null"),
		says(
			"answers with brackets without end",
			"200 OK",
			"Content-Type: application/json\r\n",
			strings.Repeat("[", 3<<20),
		),
	}
}

// PLC are habits of a PLC beyond those of a web server: what it answers is XML-RPC, or nearly.
func PLC() []Habit {
	value := func(name, inside string) Habit {
		return says(
			name,
			"200 OK",
			"Content-Type: text/xml\r\n",
			"<?xml version='1.0'?><methodResponse><params><param><value>"+inside+"</value></param></params></methodResponse>",
		)
	}
	const row = "<value><struct><member><name>node_id</name><value><int>1</int></value></member></struct></value>"
	return []Habit{
		says(
			"answers 15 MB of elements inside of elements",
			"200 OK",
			"",
			"<methodResponse>"+strings.Repeat("<x>", 5<<20),
		),
		says(
			"answers a fault that is a novel",
			"200 OK",
			"",
			"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>102</int></value></member>"+
				"<member><name>faultString</name><value><string>"+strings.Repeat(
				"no &#x9b;31m&#x202e; ",
				30_000,
			)+"</string></value></member></struct></value></fault></methodResponse>",
		),
		says(
			"answers a fault without a code",
			"200 OK",
			"",
			"<methodResponse><fault><value><string>no</string></value></fault></methodResponse>",
		),
		says(
			"answers in another character set",
			"200 OK",
			"",
			"<?xml version='1.0' encoding='utf-7'?><methodResponse/>",
		),
		says(
			"answers with entities of its own",
			"200 OK",
			"",
			`<!DOCTYPE x [<!ENTITY a "&b;&b;"><!ENTITY b SYSTEM "file:///etc/passwd">]><methodResponse><params><param><value>&a;</value></param></params></methodResponse>`,
		),
		value("answers a number where a list belongs", "<int>1</int>"),
		value("answers nil where a list belongs", "<nil/>"),
		value("answers a text where a list belongs", "<string>"+strings.Repeat("&#x202e;evil ", 100_000)+"</string>"),
		value(
			"answers a list of lists",
			"<array><data>"+strings.Repeat("<value><array><data></data></array></value>", 10_000)+"</data></array>",
		),
		value("answers an empty list to everything", "<array><data></data></array>"),
		value(
			"answers the same row a hundred thousand times",
			"<array><data>"+strings.Repeat(row, 100_000)+"</data></array>",
		),
		value(
			"answers rows without a field",
			"<array><data>"+strings.Repeat("<value><struct></struct></value>", 1000)+"</data></array>",
		),
		value(
			"answers an integer beyond all",
			"<array><data><value><int>99999999999999999999</int></value></data></array>",
		),
		value("answers a type that nobody knows", "<"+strings.Repeat("t", 900)+"/>"),
	}
}
