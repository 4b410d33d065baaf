package mailbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

const mailText = "Subject: =?utf-8?q?caf=C3=A9?= <b>\r\nMessage-Id: <1@x>\r\nIn-Reply-To: <0@x>\r\nReferences: <0@x> <a@x>\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n1 =3D 1 <script>\r\n.dot\r\n"

func start(t *testing.T, o Options) *Mailbox {
	t.Helper()
	box, err := StartWith(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box
}

func send(box *Mailbox, to ...string) error {
	return smtp.SendMail(box.Addr(), nil, "monitor@x.test", to, []byte(mailText))
}

func code(err error) int {
	var e *textproto.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestAMessageIsKeptAsAReaderSeesIt(t *testing.T) {
	box := start(t, Options{})
	if err := send(box, "a@x.test", "b@x.test"); err != nil {
		t.Fatal(err)
	}
	list := box.Messages()
	if len(list) != 1 {
		t.Fatalf("%d messages", len(list))
	}
	m := list[0]
	if m.From != "monitor@x.test" || strings.Join(m.To, " ") != "a@x.test b@x.test" || m.Subject != "café <b>" || m.MessageID != "<1@x>" ||
		m.InReplyTo != "<0@x>" || len(m.References) != 2 || m.Body != "1 = 1 <script>\n.dot\n" || m.At.IsZero() {
		t.Errorf("got %+v", m)
	}
}

func TestARecipientIsRefusedUntilAccepted(t *testing.T) {
	box := start(t, Options{})
	for _, want := range []int{450, 550} {
		box.Refuse("A@x.test", want, "no")
		if err := send(box, "a@x.test"); code(err) != want {
			t.Errorf("got %v, want %d", err, want)
		}
	}
	box.Accept("a@x.test")
	if err := send(box, "a@x.test"); err != nil {
		t.Error(err)
	}
	box.RefuseData(451, "full")
	if err := send(box, "a@x.test"); code(err) != 451 {
		t.Errorf("got %v", err)
	}
	box.RefuseData(0, "")
	if err := send(box, "a@x.test"); err != nil {
		t.Error(err)
	}
	if n := len(box.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestADroppedConnectionKeepsTheMessage(t *testing.T) {
	box := start(t, Options{})
	box.Drop(1)
	if err := send(box, "a@x.test"); err == nil || code(err) != 0 {
		t.Errorf("got %v, want a broken connection", err)
	}
	if err := send(box, "a@x.test"); err != nil {
		t.Error(err)
	}
	if n := len(box.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestWaitReturnsWhenMailHasCome(t *testing.T) {
	box := start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := send(box, "a@x.test"); err != nil {
				t.Error(err)
			}
		})
	}
	if list, err := box.Wait(ctx, 5); err != nil || len(list) != 5 {
		t.Errorf("got %d, %v", len(list), err)
	}
	wg.Wait()
	cancel()
	if _, err := box.Wait(ctx, 6); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestALoginIsAskedForWhereItIsSet(t *testing.T) {
	box := start(t, Options{Username: "u", Password: "p"})
	if err := send(box, "a@x.test"); code(err) != 530 {
		t.Errorf("without login: %v", err)
	}
	login := func(password string) error {
		auth := smtp.PlainAuth("", "u", password, "127.0.0.1")
		return smtp.SendMail(box.Addr(), auth, "m@x.test", []string{"a@x.test"}, []byte(mailText))
	}
	if err := login("wrong"); code(err)/100 != 5 {
		t.Errorf("wrong password: %v", err)
	}
	if err := login("p"); err != nil {
		t.Error(err)
	}
}

func TestThePageShowsMailEscaped(t *testing.T) {
	box := start(t, Options{})
	pages := httptest.NewServer(http.StripPrefix("/mail", box.Handler()))
	defer pages.Close()
	get := func(path string) (int, string) {
		answer, err := http.Get(pages.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if _, body := get("/mail/"); !strings.Contains(body, "No mail yet") {
		t.Errorf("empty: %s", body)
	}
	if err := send(box, "a@x.test"); err != nil {
		t.Fatal(err)
	}
	if _, body := get("/mail/"); !strings.Contains(body, `<a href="0">café &lt;b&gt;</a>`) {
		t.Errorf("list: %s", body)
	}
	if _, body := get("/mail/0"); !strings.Contains(body, "1 = 1 &lt;script&gt;") || strings.Contains(body, "<script>") {
		t.Errorf("message: %s", body)
	}
	for _, path := range []string{"/mail/1", "/mail/-1", "/mail/x"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}
