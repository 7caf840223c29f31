package happysock_test

// On names that are half dead, silent or unknown: in scripts/in-test-network. Limits on time are wide: they tell
// milliseconds from the seconds of a connect or lookup that hangs.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"happysock"
)

const (
	v4     = "203.0.113.1"
	v6     = "2001:db8:1::1"
	atOnce = 10 * time.Second
)

var names int

// silentName is a name that DNS keeps silent about, not asked for before.
func silentName() string {
	names++
	return fmt.Sprintf("n%dx%d.example", os.Getpid(), names)
}

func silentDNS(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.53:53")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
}

func listen(t *testing.T, host string) (net.Listener, string) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return listener, port
}

func closedPort(t *testing.T) string {
	listener, port := listen(t, "127.0.0.1")
	listener.Close()
	return port
}

func takes(t *testing.T, least, most time.Duration, body func()) {
	t.Helper()
	start := time.Now()
	body()
	if taken := time.Since(start); taken < least || taken >= most {
		t.Errorf("it took %v", taken)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func refusal(t *testing.T, dialer *happysock.Dialer, ctx context.Context, network, address string) (error, *happysock.Error) {
	t.Helper()
	conn, err := dialer.DialContext(ctx, network, address)
	if err == nil {
		conn.Close()
		t.Fatalf("%s %s is not refused", network, address)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || op.Net != network {
		t.Fatalf("%#v is no *net.OpError of a dial", err)
	}
	var failed *happysock.Error
	errors.As(err, &failed)
	return err, failed
}

func TestAHalfDeadNameCostsAQuarterOfASecond(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	server.Listener.Close()
	listener, port := listen(t, v4)
	server.Listener = listener
	server.Start()
	defer server.Close()
	transport := &http.Transport{DialContext: (&happysock.Dialer{}).DialContext}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	takes(t, 200*time.Millisecond, 10*time.Second, func() {
		response, err := client.Get("http://half.test:" + port)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, _ := io.ReadAll(response.Body); string(body) != "hello" {
			t.Errorf("the answer is %q", body)
		}
	})
}

func TestFamiliesAndLocalAddresses(t *testing.T) {
	for network, host := range map[string]string{"tcp4": v4, "tcp6": v6} {
		_, port := listen(t, host)
		local := &net.TCPAddr{IP: net.ParseIP(host)}
		for _, dialer := range []happysock.Dialer{{}, {LocalAddr: local}, {LocalAddr: &net.TCPAddr{}}} {
			conn, err := dialer.Dial(network, net.JoinHostPort("live.test", port))
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.RemoteAddr().(*net.TCPAddr).IP; !got.Equal(net.ParseIP(host)) {
				t.Errorf("%s arrived at %v", network, got)
			}
			if _, ok := conn.(*net.TCPConn); !ok {
				t.Errorf("%T is no *net.TCPConn", conn)
			}
			conn.Close()
		}
	}
}

func TestKnownAddressesAreAttemptedInsteadOfALookup(t *testing.T) {
	listener, _ := listen(t, v4)
	live := listener.Addr().(*net.TCPAddr)
	// The delay is long: what comes first is refused, and so the next one has its turn at once.
	dialer := &happysock.Dialer{FallbackDelay: 2 * time.Second}
	conn, err := dialer.DialAddrs(context.Background(), []*net.TCPAddr{{IP: net.ParseIP(v6), Port: live.Port}, live})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.RemoteAddr().String(); got != live.String() {
		t.Errorf("it arrived at %v", got)
	}
	for _, wrong := range [][]*net.TCPAddr{nil, {nil}, {{Port: 80}}, {live, {IP: live.IP, Port: 65536}}, {{IP: net.ParseIP("fe80::1"), Zone: "no-such"}}} {
		conn, err := dialer.DialAddrs(context.Background(), wrong)
		if err == nil {
			conn.Close()
		}
		if !errors.As(err, new(*net.AddrError)) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestEachFamilyHasALocalAddress(t *testing.T) {
	own4, own6 := &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}, &net.TCPAddr{IP: net.ParseIP(v6)}
	dialer := &happysock.Dialer{LocalV4: own4, LocalV6: own6}
	for network, at := range map[string]struct {
		host string
		own  *net.TCPAddr
	}{"tcp4": {"127.0.0.1", own4}, "tcp6": {"::1", own6}} {
		_, port := listen(t, at.host)
		conn, err := dialer.Dial(network, "dual.test:"+port)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.LocalAddr().(*net.TCPAddr).IP; !got.Equal(at.own.IP) {
			t.Errorf("%s is bound to %v", network, got)
		}
		conn.Close()
	}
	for _, wrong := range []*happysock.Dialer{{LocalV4: own6}, {LocalV6: own4}, {LocalV4: own4, LocalAddr: own4}} {
		if err, _ := refusal(t, wrong, context.Background(), "tcp", "localhost:80"); !errors.As(err, new(*net.AddrError)) {
			t.Errorf("%v", err)
		}
	}
}

func TestAConnectionHasDeadlines(t *testing.T) {
	listener, port := listen(t, "127.0.0.1")
	conn, err := (&happysock.Dialer{}).Dial("tcp", "localhost:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading ended with %v", err)
	}
}

func TestErrorsAreThoseOfNetWithTheAttempts(t *testing.T) {
	background := context.Background()
	err, failed := refusal(t, &happysock.Dialer{}, background, "tcp", "dual.test:"+closedPort(t))
	if !errors.Is(err, syscall.ECONNREFUSED) || len(failed.Attempts) != 2 {
		t.Errorf("%v, %v", err, failed.Attempts)
	}
	for _, attempt := range failed.Attempts {
		if attempt.Outcome != "failed" || !errors.Is(attempt.Err, syscall.ECONNREFUSED) || !attempt.Addr.IP.IsLoopback() {
			t.Errorf("%+v", attempt)
		}
	}
	err, failed = refusal(t, &happysock.Dialer{}, background, "tcp", "no.such.host.test:80")
	var dns *net.DNSError
	if !errors.As(err, &dns) || dns.Name != "no.such.host.test" || len(failed.Attempts) != 0 {
		t.Errorf("%v", err)
	}
	limited := &happysock.Dialer{Timeout: 3 * time.Second, FallbackDelay: 20 * time.Millisecond}
	takes(t, 3*time.Second, 30*time.Second, func() {
		err, failed = refusal(t, limited, background, "tcp", "silent.test:80")
	})
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || len(failed.Attempts) != 2 {
		t.Errorf("%v", err)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	background := context.Background()
	for _, address := range []string{"localhost", "localhost:65536", "localhost:no-such-service", "local host:80", "local\x00host:80"} {
		refusal(t, &happysock.Dialer{}, background, "tcp", address)
	}
	err, _ := refusal(t, &happysock.Dialer{}, background, "udp", "localhost:80")
	if !errors.As(err, new(net.UnknownNetworkError)) {
		t.Errorf("%v", err)
	}
	refusal(t, &happysock.Dialer{LocalAddr: &net.UDPAddr{}}, background, "tcp", "localhost:80")
	cancelled, cancel := context.WithCancel(background)
	cancel()
	if err, _ := refusal(t, &happysock.Dialer{}, cancelled, "tcp", "localhost:80"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	takes(t, 0, atOnce, func() {
		refusal(t, &happysock.Dialer{Deadline: time.Now().Add(-time.Second)}, background, "tcp", "silent.test:80")
	})
}

func TestAContextEndsItAtOnceAndLeavesNothing(t *testing.T) {
	silentDNS(t)
	dialer := &happysock.Dialer{}
	_, failed := refusal(t, &happysock.Dialer{Timeout: time.Millisecond}, context.Background(), "tcp", silentName()+":80")
	if failed == nil {
		t.Error("it is no *happysock.Error")
	}
	before := descriptors(t)
	for _, host := range []string{"silent.test", silentName(), silentName()} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(20*time.Millisecond, cancel)
		takes(t, 0, atOnce, func() {
			if err, _ := refusal(t, dialer, ctx, "tcp", host+":80"); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
		takes(t, 0, atOnce, func() {
			if err, _ := refusal(t, dialer, ctx, "tcp", host+":80"); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
		cancel()
	}
	noMoreDescriptors(t, before)
}

func TestWithoutARaceASilentAddressLeavesTheOthersTheirShare(t *testing.T) {
	_, port := listen(t, v4)
	// Without its share of 3 s the silent address would have all of the time.
	dialer := &happysock.Dialer{Timeout: 6 * time.Second, FallbackDelay: -1, ShareTimeout: true, GrowingDelay: true, OnlyConnectedFamilies: true}
	conn, err := dialer.Dial("tcp", "half.test:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestLibcIsAskedWhereItIsToBe(t *testing.T) {
	for source, dialer := range map[string]*happysock.Dialer{"hosts": {}, "libc": {LookupByLibc: true}} {
		if _, failed := refusal(t, dialer, context.Background(), "tcp", "dual.test:"+closedPort(t)); failed.Source != source {
			t.Errorf("%q has answered, not %q", failed.Source, source)
		}
	}
}

func TestWhatIsNoPrefixOfATranslatorIsRefused(t *testing.T) {
	for _, wrong := range []string{"64:ff9b::/95", "discover\x00"} {
		dialer := &happysock.Dialer{Nat64: wrong}
		if conn, err := dialer.Dial("tcp", "127.0.0.1:80"); err == nil {
			conn.Close()
			t.Errorf("%q was taken", wrong)
		} else if !strings.Contains(strings.ToLower(err.Error()), "nat64") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestWithAHistoryADeadFamilyCostsOneDelay(t *testing.T) {
	_, port := listen(t, v4)
	// The winner takes less than the delay: otherwise the other one does not pass for unanswered.
	dialer := &happysock.Dialer{History: happysock.NewHistory(), FallbackDelay: 2 * time.Second, Timeout: 20 * time.Second}
	dial := func() {
		conn, err := dialer.Dial("tcp", "half.test:"+port)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	takes(t, 2*time.Second, 30*time.Second, dial)
	if report := dialer.History.Report(); report.UnansweredV6 != 1 || report.UnansweredV4 != 0 || report.Networks < 1 {
		t.Errorf("%+v", report)
	}
	// Nobody listens there, so that what was attempted first is told.
	brief := &happysock.Dialer{History: dialer.History, Timeout: 3 * time.Second}
	_, failed := refusal(t, brief, context.Background(), "tcp", "half.test:"+closedPort(t))
	if first := failed.Attempts[0].Addr.IP; !first.Equal(net.ParseIP(v4)) {
		t.Errorf("%v was attempted first", first)
	}
	dialer.History.Flush()
	if report := dialer.History.Report(); report != (happysock.HistoryReport{}) {
		t.Errorf("%+v", report)
	}
}

// One port of ::1, which takes connections and never answers, and of 127.0.0.1.
func listenSilentlyFirst(t *testing.T) (net.Listener, string) {
	listener, port := listen(t, "127.0.0.1")
	silent, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	return listener, port
}

func noMoreDescriptors(t *testing.T, most int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); descriptors(t) > most && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if after := descriptors(t); after > most {
		t.Errorf("%d descriptors are open, %d were", after, most)
	}
}

func TestTheHandshakeOfTLSThatIsDoneFirstWins(t *testing.T) {
	listener, port := listenSilentlyFirst(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	dialer := &happysock.Dialer{Confirm: func(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
		if address != "dual.test:"+port {
			t.Errorf("%s was dialled", address)
		}
		secure := tls.Client(conn, config)
		return secure, secure.HandshakeContext(ctx)
	}}
	transport := &http.Transport{DialTLSContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("https://dual.test:" + port)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "hello" {
		t.Errorf("the answer is %q", body)
	}
}

func TestWhatAnotherHasWonOverIsEndedAndLeavesNothing(t *testing.T) {
	_, port := listenSilentlyFirst(t)
	before := descriptors(t)
	silent, ended := make(chan struct{}), make(chan error, 1)
	dialer := &happysock.Dialer{Confirm: func(ctx context.Context, conn net.Conn, _ string) (net.Conn, error) {
		if conn.RemoteAddr().(*net.TCPAddr).IP.To4() != nil {
			// Whichever is attempted first, the other one is held too.
			<-silent
			return conn, nil
		}
		close(silent)
		_, err := conn.Read(make([]byte, 1))
		<-ctx.Done()
		ended <- err
		return nil, err
	}}
	conn, err := dialer.Dial("tcp", "dual.test:"+port)
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != "127.0.0.1:"+port {
		t.Errorf("%s has won", got)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ended with %v", err)
	}
	conn.Close()
	noMoreDescriptors(t, before)
}

func TestWhenNoneIsConfirmedTheErrorSaysWhy(t *testing.T) {
	_, port := listenSilentlyFirst(t)
	before := descriptors(t)
	unwanted := errors.New("unwanted")
	dialer := &happysock.Dialer{Confirm: func(context.Context, net.Conn, string) (net.Conn, error) { return nil, unwanted }}
	err, failed := refusal(t, dialer, context.Background(), "tcp", "dual.test:"+port)
	if !errors.Is(err, unwanted) || len(failed.Attempts) != 2 || failed.Attempts[0].Outcome != "failed" {
		t.Errorf("%v, %v", err, failed.Attempts)
	}
	dialer.Confirm = func(ctx context.Context, _ net.Conn, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	dialer.Timeout = 100 * time.Millisecond
	if err, _ := refusal(t, dialer, context.Background(), "tcp", "dual.test:"+port); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	dialer.Confirm = func(ctx context.Context, _ net.Conn, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	dialer.Timeout = 0
	if err, _ := refusal(t, dialer, ctx, "tcp", "dual.test:"+port); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	noMoreDescriptors(t, before)
}

// A goroutine inside of C, or of a system call, occupies a thread. Once every dial waits, none is there.
func TestAHundredAtOnceOccupyNoThreads(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const dials = 100
	ended := make(chan error, dials)
	for index := 0; index < dials; index++ {
		go func() {
			_, err := (&happysock.Dialer{}).DialContext(ctx, "tcp", "silent.test:80")
			ended <- err
		}()
	}
	stacks := make([]byte, 1<<22)
	waiting := func() int {
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "[IO wait")
	}
	for deadline := time.Now().Add(20 * time.Second); waiting() < dials && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if count := waiting(); count != dials {
		t.Errorf("%d of %d wait for the poller", count, dials)
	}
	cancel()
	for index := 0; index < dials; index++ {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}
