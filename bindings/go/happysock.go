// Package happysock connects to hosts by name with Happy Eyeballs (RFC 8305). Both families are looked up at once and
// raced, so that a family, or a name server, that does not answer holds up nothing for more than a moment.
//
//	transport := &http.Transport{DialContext: (&happysock.Dialer{}).DialContext}
//
// It is built with cgo against an installed libhappysock, which pkg-config finds. While a connect runs it occupies no
// thread: its one descriptor is waited for by the runtime's poller. Linux.
package happysock

/*
#cgo pkg-config: happysock
#include <errno.h>
#include <happysock.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>

enum { ATTEMPTS = 64 };

// What Go cannot express: the macros that set up structs.
static happy_options default_options(void)
{
	happy_options options = HAPPY_OPTIONS_INIT;
	return options;
}

static happy_result empty_result(void)
{
	happy_result result = HAPPY_RESULT_INIT;
	return result;
}

// Drives a connect as far as it goes now. 1: it is finished. 0: its descriptor is not readable any more. The poller
// tells of a change once; what is left to do is no change, so that it is done here.
static int drive(happy_connect *connect, int fd)
{
	struct pollfd ready = {fd, POLLIN, 0};
	do {
		if (happy_connect_dispatch(connect) != HAPPY_EAGAIN)
			return 1;
		ready.revents = 0;
	} while (poll(&ready, 1, 0) > 0);
	return 0;
}
*/
import "C"

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Dialer is for connects what net.Dialer is. The zero value races as RFC 8305 recommends and has no limit. It may be
// used by any number of goroutines.
type Dialer struct {
	// Timeout limits all of a connect, the lookup too; 0: no limit but the context's.
	Timeout time.Duration
	// Deadline is the time after which a connect fails; zero: none.
	Deadline time.Time
	// LocalAddr is a *net.TCPAddr to bind to, or nil. Only its family is attempted, unless it has no IP.
	LocalAddr net.Addr
	// LocalV4 and LocalV6 are what attempts of each family are bound to, or nil. Not together with LocalAddr.
	LocalV4, LocalV6 *net.TCPAddr
	// ResolutionDelay is how long an IPv4 answer waits for the IPv6 answer (RFC 8305, section 3); 0: 50 ms.
	ResolutionDelay time.Duration
	// FallbackDelay is the time between two attempts (RFC 8305, section 5), held within 10 ms and 2 s; 0: 250 ms.
	// Negative: one address after the other, without a race, as in net.Dialer.
	FallbackDelay time.Duration
	// GrowingDelay makes each time between two attempts twice the one before it, up to 2 s.
	GrowingDelay bool
	// ShareTimeout gives, without a race, each address an equal share of what is left of the limit, 2 s at least.
	ShareTimeout bool
	// OnlyConnectedFamilies does not ask for addresses of a family that this system has no network in.
	OnlyConnectedFamilies bool
	// LookupByLibc has the host looked up by libc, on a thread, also where happysock could do it without one.
	LookupByLibc bool
	// Nat64 reaches IPv4 addresses on a network without IPv4 through its translator (NAT64): "discover" asks the network
	// for its prefix; or prefixes with commas between, such as "64:ff9b::/96". Empty: they are attempted as they are.
	Nat64 string
	// History is what earlier connects have learnt, and where this one adds what it learns; or nil.
	History *History
	// Confirm is asked, where to be connected is not all that counts, what it makes of a connection to the address that is
	// dialled: itself, or what goes over it, such as a *tls.Conn after its handshake. Each connected attempt is asked in a
	// goroutine, while the race goes on; the first without an error wins, and is what the Dialer gives; the others' contexts
	// end, and their connections are closed. An error: this attempt has failed. nil: the first connection wins.
	Confirm func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
	// KeepAlive is the time between keep-alive probes; 0: 15 s; negative: none, as in net.Dialer.
	KeepAlive time.Duration
}

// Attempt is one attempt of a connect.
type Attempt struct {
	Addr *net.TCPAddr
	// Outcome is "connected", "failed", "timed out" or "abandoned".
	Outcome string
	// Err is how it failed, or nil.
	Err error
	// Started and Ended count from the beginning of the race.
	Started, Ended time.Duration
}

// Error is inside of each *net.OpError of a connect that failed, to be found with errors.As.
type Error struct {
	// Err is what net has for it: a *net.DNSError, an *os.SyscallError, os.ErrDeadlineExceeded, the context's error.
	Err error
	// Attempts are those that were made, in the order of their start.
	Attempts []Attempt
	// Source is who has answered the lookup: "hosts", "dns", "resolve" (systemd-resolved) or "libc"; "" where nobody has.
	Source string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout says whether a limit was reached: net.Error has it, and *net.OpError asks for it.
func (e *Error) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// Temporary is for net.Error.
func (e *Error) Temporary() bool {
	var temporary interface{ Temporary() bool }
	return errors.As(e.Err, &temporary) && temporary.Temporary()
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to "host:port" over "tcp", "tcp4" or "tcp6". The connect ends at once when the context does.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d.dial(ctx, network, address, nil)
}

// DialAddrs connects to one of addresses that are known, sorted and raced as an answer of a lookup is; without a race, in
// the order in which they are given. The connect ends at once when the context does.
func (d *Dialer) DialAddrs(ctx context.Context, addrs []*net.TCPAddr) (net.Conn, error) {
	if len(addrs) == 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Source: d.LocalAddr, Err: &net.AddrError{Err: "no address"}}
	}
	return d.dial(ctx, "tcp", addrs[0].String(), addrs)
}

func (d *Dialer) dial(ctx context.Context, network, address string, addrs []*net.TCPAddr) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Source: d.LocalAddr, Err: err}
	}
	options := C.default_options()
	switch network {
	case "tcp":
	case "tcp4":
		options.family = C.AF_INET
	case "tcp6":
		options.family = C.AF_INET6
	default:
		return fail(net.UnknownNetworkError(network))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fail(err)
	}
	if strings.IndexByte(address, 0) >= 0 {
		// C would take what comes before it for the whole.
		return fail(&net.AddrError{Err: "zero byte in address", Addr: address})
	}
	if err := ctx.Err(); err != nil {
		return fail(contextError(err))
	}
	var memory cMemory
	defer memory.free()
	if d.LocalAddr != nil {
		local, ok := d.LocalAddr.(*net.TCPAddr)
		if !ok {
			return fail(&net.AddrError{Err: "mismatched local address type", Addr: d.LocalAddr.String()})
		}
		if len(local.IP) > 0 {
			options.local_host = memory.text((&net.IPAddr{IP: local.IP, Zone: local.Zone}).String())
		}
		options.local_service = memory.text(itoa(local.Port))
	}
	if addrs != nil {
		if options.addresses, err = memory.addressList(addrs); err != nil {
			return fail(err)
		}
	}
	if d.LocalV4 != nil {
		local, err := memory.sockaddr(d.LocalV4, C.AF_INET)
		if err != nil {
			return fail(err)
		}
		options.local_v4 = (*C.struct_sockaddr_in)(local)
	}
	if d.LocalV6 != nil {
		local, err := memory.sockaddr(d.LocalV6, C.AF_INET6)
		if err != nil {
			return fail(err)
		}
		options.local_v6 = (*C.struct_sockaddr_in6)(local)
	}
	if d.ResolutionDelay != 0 {
		options.resolution_delay_ms = milliseconds(d.ResolutionDelay)
	}
	if d.FallbackDelay < 0 {
		options.flags |= C.HAPPY_FLAG_NO_FAST_FALLBACK
	} else if d.FallbackDelay > 0 {
		options.connection_attempt_delay_ms = milliseconds(d.FallbackDelay)
	}
	if d.GrowingDelay {
		options.flags |= C.HAPPY_FLAG_GROWING_DELAY
	}
	if d.ShareTimeout {
		options.flags |= C.HAPPY_FLAG_SHARE_TIMEOUT
	}
	if d.OnlyConnectedFamilies {
		options.flags |= C.HAPPY_FLAG_ONLY_CONNECTED_FAMILIES
	}
	if d.LookupByLibc {
		options.flags |= C.HAPPY_FLAG_LOOKUP_BY_LIBC
	}
	options.open_timeout_ms = d.limit(ctx)
	options.flags |= C.HAPPY_FLAG_NONBLOCKING

	if d.Nat64 != "" {
		if strings.IndexByte(d.Nat64, 0) >= 0 {
			return fail(&net.AddrError{Err: "zero byte in Nat64", Addr: d.Nat64})
		}
		options.nat64 = memory.text(d.Nat64)
	}
	if d.History != nil {
		options.history = d.History.native
	}

	var confirm *confirming
	if d.Confirm != nil {
		confirm = &confirming{confirm: d.Confirm, ctx: ctx, address: address, prepare: d.setKeepAlive}
		confirm.set(&options, &memory)
	}
	fd, confirmed, err := race(ctx, memory.text(host), memory.text(port), &options, address, confirm)
	// The connect has a reference of its own from its beginning to its end.
	runtime.KeepAlive(d.History)
	if err != nil {
		return fail(err)
	}
	if confirmed != nil {
		// What it goes over is a duplicate.
		syscall.Close(int(fd))
		return confirmed, nil
	}
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return fail(err)
	}
	d.setKeepAlive(conn)
	return conn, nil
}

func (d *Dialer) setKeepAlive(conn net.Conn) {
	if d.KeepAlive >= 0 {
		period := d.KeepAlive
		if period == 0 {
			period = 15 * time.Second
		}
		tcp := conn.(*net.TCPConn)
		_ = tcp.SetKeepAlive(true)
		_ = tcp.SetKeepAlivePeriod(period)
	}
}

// The earliest of the limits, in milliseconds; -1: none.
func (d *Dialer) limit(ctx context.Context) C.int32_t {
	limit := time.Duration(math.MaxInt64)
	if d.Timeout != 0 {
		limit = d.Timeout
	}
	earlier := func(deadline time.Time) {
		if left := time.Until(deadline); left < limit {
			limit = left
		}
	}
	if !d.Deadline.IsZero() {
		earlier(d.Deadline)
	}
	if deadline, ok := ctx.Deadline(); ok {
		earlier(deadline)
	}
	if limit == math.MaxInt64 {
		return -1
	}
	return milliseconds(limit)
}

// Rounded up; what is negative is over at once.
func milliseconds(duration time.Duration) C.int32_t {
	if duration <= 0 {
		return 0
	}
	count := (duration-1)/time.Millisecond + 1
	if count > math.MaxInt32 {
		count = math.MaxInt32
	}
	return C.int32_t(count)
}

// race connects and gives the descriptor, which is the caller's, and what Confirm has made of it where there is one.
func race(ctx context.Context, host, port *C.char, options *C.happy_options, address string, confirm *confirming) (winner C.int, made net.Conn, err error) {
	var connect *C.happy_connect
	result := C.empty_result()
	if C.happy_connect_new(host, port, options, &connect, &result) != C.HAPPY_OK {
		return -1, nil, resultError(ctx, &result, nil, address)
	}
	if confirm == nil {
		defer C.happy_connect_free(connect)
	} else {
		confirm.connect = connect
		defer func() {
			confirm.mutex.Lock()
			defer confirm.mutex.Unlock()
			C.happy_connect_free(connect)
			made = confirm.end(err == nil)
		}()
	}
	fd, failure := C.happy_connect_get_fd(connect)
	if fd < 0 {
		return -1, nil, os.NewSyscallError("epoll_create1", failure)
	}
	if err := wait(ctx, connect, fd, confirm); err != nil {
		return -1, nil, err
	}
	room := (*[C.ATTEMPTS]C.happy_attempt)(C.calloc(C.ATTEMPTS, C.sizeof_happy_attempt))
	defer C.free(unsafe.Pointer(room))
	// The room is C's, so that a struct of Go's may point to it.
	result = C.empty_result()
	result.attempts = &room[0]
	result.attempts_capacity = C.ATTEMPTS
	if confirm != nil {
		confirm.mutex.Lock()
		defer confirm.mutex.Unlock()
	}
	if winner := C.happy_connect_take_result(connect, &result); winner >= 0 {
		return winner, nil, nil
	}
	failed := resultError(ctx, &result, room[:], address)
	if confirm != nil && confirm.cause != nil && result.syscall != nil && C.GoString(result.syscall) == "confirm" {
		failed.Err = confirm.cause
	}
	return -1, nil, failed
}

// wait drives a connect until it is finished, with the runtime's poller.
func wait(ctx context.Context, connect *C.happy_connect, fd C.int, confirm *confirming) error {
	drive := func() bool { return C.drive(connect, fd) == 1 }
	if confirm != nil {
		drive = func() bool {
			confirm.mutex.Lock()
			defer confirm.mutex.Unlock()
			finished := C.drive(connect, fd) == 1
			confirm.hear()
			return finished
		}
	}
	if drive() {
		return nil
	}
	// The poller closes what it is given, so that it is given a descriptor of its own.
	own, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("fcntl", errno)
	}
	if err := syscall.SetNonblock(int(own), true); err != nil {
		syscall.Close(int(own))
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(own, "happysock")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	// Cancelled from another goroutine, the connect finishes. It is freed only after that goroutine has ended.
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			C.happy_connect_cancel(connect)
		case <-stop:
		}
	}()
	err = conn.Read(func(uintptr) bool { return drive() })
	close(stop)
	<-stopped
	return err
}
