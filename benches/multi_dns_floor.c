/* The floor of names: what a program does that knows only how to ask one DNS server for addresses and to connect. Kept
 * UDP sockets with at most so many questions in flight on each, ids by place, one epoll set, no thread and no timer.
 * The second argument, "threads", is how many names may be in flight at once. */
#define _GNU_SOURCE
#include "multi_common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>

enum { EACH = 64, MOST_SOCKETS = 64, LONGEST = 512 };

/* A name: asked for both families over one socket, then connected. */
struct name {
    int index, fd;
    int answers;
    unsigned short place;
    unsigned char socket;
    bool connecting;
    struct sockaddr_in6 six;
    struct sockaddr_in four;
};

/* A socket to the server, and whose its questions are: AAAA at the even ids, A at the odd ones. */
struct asked {
    int fd, used;
    unsigned short salt;
    struct name *names[EACH];
};

static struct asked sockets[MOST_SOCKETS];
static int set, socket_count, running, next_index;
/* Where a free place may be, and how many there are. */
static int in_flight, most_in_flight;

static void open_sockets(void)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.0.0.53", &server.sin_addr);
    socket_count = (most_in_flight + EACH - 1) / EACH;
    if (socket_count > MOST_SOCKETS)
        socket_count = MOST_SOCKETS;
    for (int i = 0; i < socket_count; i++) {
        sockets[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockets[i].salt = (unsigned short)((unsigned)getpid() * 2654435761u >> 16 ^ (unsigned)i * 40503u);
        if (sockets[i].fd < 0 || connect(sockets[i].fd, (struct sockaddr *)&server, sizeof server) != 0)
            fail("socket");
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
        epoll_ctl(set, EPOLL_CTL_ADD, sockets[i].fd, &event);
    }
}

static int write_question(unsigned char *packet, const char *host, unsigned id, int type)
{
    static const unsigned char rest[10] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    packet[0] = (unsigned char)(id >> 8);
    packet[1] = (unsigned char)id;
    memcpy(packet + 2, rest, sizeof rest);
    int length = 12;
    while (*host != '\0') {
        size_t label = strcspn(host, ".");
        packet[length++] = (unsigned char)label;
        memcpy(packet + length, host, label);
        length += (int)label;
        host += label + (host[label] == '.');
    }
    packet[length++] = 0;
    packet[length++] = 0;
    packet[length++] = (unsigned char)type;
    packet[length++] = 0;
    packet[length++] = 1;
    return length;
}

static void ask(struct name *name)
{
    unsigned char packet[LONGEST];
    char host[256];
    int place = 0, which = in_flight % socket_count;
    for (int i = 0; i < socket_count && sockets[which].used == EACH; i++)
        which = (which + 1) % socket_count;
    struct asked *asked = &sockets[which];
    while (asked->names[place] != NULL)
        place++;
    asked->names[place] = name;
    asked->used++;
    in_flight++;
    name->socket = (unsigned char)which;
    name->place = (unsigned short)place;
    bench_host(name->index, host);
    for (int second = 0; second < 2; second++) {
        unsigned id = (unsigned)(place * 2 + second) ^ asked->salt;
        int length = write_question(packet, host, id & 0xffff, second ? 1 : 28);
        if (send(asked->fd, packet, (size_t)length, 0) != length)
            fail("send");
    }
}

static void ask_more(struct name *names)
{
    while (next_index < bench.count && in_flight < most_in_flight)
        ask(&names[next_index++]);
}

static void start_connect(struct name *name)
{
    bool six = name->six.sin6_family == AF_INET6;
    if (!six && name->four.sin_family != AF_INET) {
        bench.failed++;
        running--;
        return;
    }
    const struct sockaddr *address = six ? (struct sockaddr *)&name->six : (struct sockaddr *)&name->four;
    name->connecting = true;
    name->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (name->fd < 0 ||
        (connect(name->fd, address, six ? sizeof name->six : sizeof name->four) != 0 && errno != EINPROGRESS))
        fail("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = name};
    if (epoll_ctl(set, EPOLL_CTL_ADD, name->fd, &event) != 0)
        fail("epoll_ctl");
}

static void connected(struct name *name)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(name->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    *(error == 0 ? &bench.ok : &bench.failed) += 1;
    close_with_reset(name->fd);
    running--;
}

/* The server is known to answer with one record at most, behind the question. */
static void read_answer(struct name *name, const unsigned char *packet, int length)
{
    int place = 12;
    in_port_t port = htons((in_port_t)atoi(bench.service));
    while (place < length && packet[place] != 0)
        place += packet[place] + 1;
    place += 5;
    if (packet[7] == 1 && place + 12 + 16 <= length && packet[place + 3] == 28) {
        name->six.sin6_family = AF_INET6;
        name->six.sin6_port = port;
        memcpy(&name->six.sin6_addr, packet + place + 12, 16);
    } else if (packet[7] == 1 && place + 12 + 4 <= length && packet[place + 3] == 1) {
        name->four.sin_family = AF_INET;
        name->four.sin_port = port;
        memcpy(&name->four.sin_addr, packet + place + 12, 4);
    }
    name->answers++;
    /* IPv6 begins at once. */
    if (!name->connecting && (name->six.sin6_family == AF_INET6 || name->answers == 2))
        start_connect(name);
    if (name->answers == 2) {
        struct asked *asked = &sockets[name->socket];
        asked->names[name->place] = NULL;
        asked->used--;
        in_flight--;
    }
}

static void read_answers(struct asked *asked)
{
    unsigned char packet[LONGEST];
    for (;;) {
        int length = (int)recv(asked->fd, packet, sizeof packet, 0);
        if (length < 12)
            return;
        unsigned place = ((unsigned)(packet[0] << 8 | packet[1]) ^ asked->salt) & 0xffff;
        struct name *name = place / 2 < EACH ? asked->names[place / 2] : NULL;
        if (name != NULL)
            read_answer(name, packet, length);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event ready[256];
    bench_arguments(argc, argv);
    most_in_flight = bench.threads < EACH * MOST_SOCKETS ? bench.threads : EACH * MOST_SOCKETS;
    bench_begin();
    set = epoll_create1(EPOLL_CLOEXEC);
    open_sockets();
    struct name *names = calloc((size_t)bench.count, sizeof *names);
    if (names == NULL)
        fail("calloc");
    running = bench.count;
    for (int i = 0; i < bench.count; i++)
        names[i].index = i;
    ask_more(names);
    if (bench_is_unanswered()) {
        bench_all_begun();
        for (int i = 0; i < socket_count; i++)
            close(sockets[i].fd);
        bench.cancelled = now_us();
    } else {
        while (running > 0) {
            int count = epoll_wait(set, ready, 256, 20000);
            if (count <= 0)
                fail("no answer for 20 s");
            for (int i = 0; i < count; i++) {
                if (ready[i].data.u64 < MOST_SOCKETS)
                    read_answers(&sockets[ready[i].data.u64]);
                else
                    connected(ready[i].data.ptr);
            }
            ask_more(names);
        }
        bench_all_ended();
    }
    bench.most_threads = 1;
    bench_print("floor");
    return bench.failed == 0 ? 0 : 1;
}
