package happysock

/*
#include <fcntl.h>
#include <happysock.h>
#include <stdlib.h>
#include <unistd.h>

// A socket that is held, and a descriptor of its own for it; or -1: it is taken back.
struct told {
	int fd;
	int own;
};

// What the library has told, in its order. Each socket is told of twice at most, which there is room for from its first time on.
struct confirming {
	struct told *told;
	size_t count;
	size_t room;
};

static int hold(int fd, const struct sockaddr *address, socklen_t address_length, void *userdata)
{
	struct confirming *self = userdata;
	struct told *grown = realloc(self->told, (self->room + 2) * sizeof *grown);
	int own;
	(void)address, (void)address_length;
	if (!grown)
		return HAPPY_CONFIRM_NO;
	self->told = grown;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return HAPPY_CONFIRM_NO;
	self->room += 2;
	self->told[self->count++] = (struct told){fd, own};
	return HAPPY_CONFIRM_LATER;
}

static void take_back(int fd, void *userdata)
{
	struct confirming *self = userdata;
	self->told[self->count++] = (struct told){fd, -1};
}

static void set_confirm(happy_options *options, struct confirming *self)
{
	options->confirm = hold;
	options->release_socket = take_back;
	options->userdata = self;
}

static struct told told_at(const struct confirming *self, size_t index)
{
	return self->told[index];
}
*/
import "C"

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"unsafe"
)

// What a Dialer's Confirm is doing for one connect: it runs in goroutines, each on a duplicate of a socket that the library holds.
type confirming struct {
	confirm func(ctx context.Context, conn net.Conn, address string) (net.Conn, error)
	ctx     context.Context
	address string
	// Prepares a connection, as one is that nobody confirms.
	prepare func(conn net.Conn)

	// Whoever calls a function of the connect has this: one at a time.
	mutex   sync.Mutex
	connect *C.happy_connect
	native  *C.struct_confirming
	// How much of what the library has told is read.
	heard C.size_t
	held  map[C.int]*candidate
	// What was made of the connection that is wanted.
	winner net.Conn
	// The error of the one that has failed last.
	cause error
}

type candidate struct {
	conn   net.Conn
	cancel context.CancelFunc
}

// set has the library ask. What it tells is read by hear, which follows each call of a function of the connect.
func (c *confirming) set(options *C.happy_options, memory *cMemory) {
	c.native = (*C.struct_confirming)(memory.zeroed(1, C.sizeof_struct_confirming))
	c.held = map[C.int]*candidate{}
	C.set_confirm(options, c.native)
}

func (c *confirming) hear() {
	for c.heard < c.native.count {
		told := C.told_at(c.native, c.heard)
		c.heard++
		if told.own < 0 {
			if lost := c.held[told.fd]; lost != nil {
				delete(c.held, told.fd)
				lost.cancel()
				lost.conn.Close()
			}
			continue
		}
		file := os.NewFile(uintptr(told.own), "")
		conn, err := net.FileConn(file)
		file.Close()
		if err != nil {
			c.cause = err
			C.happy_connect_confirm(c.connect, told.fd, C.HAPPY_CONFIRM_NO)
			continue
		}
		c.prepare(conn)
		ctx, cancel := context.WithCancel(c.ctx)
		c.held[told.fd] = &candidate{conn, cancel}
		go c.run(ctx, told.fd, c.held[told.fd])
	}
}

func (c *confirming) run(ctx context.Context, fd C.int, held *candidate) {
	made, err := c.confirm(ctx, held.conn, c.address)
	if err == nil && made == nil {
		err = errors.New("Confirm has given no connection")
	}
	held.cancel()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	// The number may have become another one's since.
	wanted := err == nil
	if c.held[fd] == held {
		delete(c.held, fd)
		answer := C.int(C.HAPPY_CONFIRM_NO)
		if wanted {
			answer = C.HAPPY_CONFIRM_YES
		} else {
			c.cause = err
		}
		wanted = C.happy_connect_confirm(c.connect, fd, answer) == C.HAPPY_OK && wanted
		c.hear()
	} else {
		wanted = false
	}
	if wanted {
		c.winner = made
		return
	}
	if made != nil {
		made.Close()
	}
	held.conn.Close()
}

// end gives the winner, after the connect was freed: what is held still has been taken back by then.
func (c *confirming) end(won bool) net.Conn {
	c.hear()
	C.free(unsafe.Pointer(c.native.told))
	winner := c.winner
	c.winner = nil
	if winner != nil && !won {
		winner.Close()
		return nil
	}
	return winner
}
