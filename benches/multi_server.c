/* The other side of the multi benchmark: a TCP server that accepts and closes, and a DNS server that answers every name
 * after a delay.
 *
 *     multi_server PORT DNS_DELAY_MS COMMAND [ARGUMENT...]
 *
 * Listens on PORT of 127.0.0.1 and ::1 and on UDP port 53 of 127.0.0.53, then runs COMMAND and ends with its exit
 * status. A name with "-four" or "-six" in its first label has no address of the other family, one with "-now" is
 * answered without delay, one with "-never" not at all. With BENCH_SERVER_BUFFER=default in the environment the
 * socket's buffers are those that any server begins with, and questions that find no room in them are lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "multi_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_socket(int type, const void *address, socklen_t length)
{
    int one = 1, fd = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (((const struct sockaddr *)address)->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (fd < 0 || bind(fd, address, length) != 0)
        fail("bind");
    return fd;
}

static _Noreturn void *accept_all(void *listener)
{
    for (;;) {
        int fd = accept4((int)(intptr_t)listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
    }
}

/* ---- DNS ----------------------------------------------------------------------------------------------------------
 */

static long long now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Questions that wait for their delay, which is the same for all: a ring. */
enum { RING = 1 << 16, LONGEST = 300 };
static struct question {
    long long due;
    struct sockaddr_in from;
    int length;
    unsigned char packet[LONGEST + 64];
} *ring;
static unsigned first, last;

static void first_label(const unsigned char *packet, char label[64])
{
    memset(label, 0, 64);
    memcpy(label, packet + 13, packet[12] < 64 ? packet[12] : 63);
}

/* Turns a question (RFC 1035, section 4) into its answer, in place; answers with the new length. */
static int answer(unsigned char *packet, int length)
{
    static const unsigned char six[] = {0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0, 0,
                                        0,    0,  0, 0,  0, 0, 0, 0, 0, 0,  0, 0,  0, 1};
    static const unsigned char four[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    int place = 12;
    while (place < length && packet[place] != 0)
        place += packet[place] + 1;
    int end = place + 5;
    if (end > length)
        return 0;
    int type = packet[place + 1] << 8 | packet[place + 2];
    char label[64];
    first_label(packet, label);
    int only_four = strstr(label, "-four") != NULL, only_six = strstr(label, "-six") != NULL;
    const unsigned char *record = type == 28 && !only_four ? six : type == 1 && !only_six ? four : NULL;
    /* A response, recursion available, no error; one question, one or no answer, nothing else. */
    packet[2] = 0x81;
    packet[3] = 0x80;
    packet[6] = 0;
    packet[7] = record != NULL;
    memset(packet + 8, 0, 4);
    if (record == NULL)
        return end;
    int size = record == six ? (int)sizeof six : (int)sizeof four;
    memcpy(packet + end, record, (size_t)size);
    return end + size;
}

struct dns {
    int fd, delay_us;
};

static void send_answer(int fd, struct question *question)
{
    int length = answer(question->packet, question->length);
    if (length > 0)
        sendto(fd, question->packet, (size_t)length, 0, (struct sockaddr *)&question->from, sizeof question->from);
}

static _Noreturn void *serve_dns(void *argument)
{
    struct dns dns = *(struct dns *)argument;
    struct pollfd readable = {dns.fd, POLLIN, 0};
    for (;;) {
        long long left = first == last ? 1000000 : ring[first % RING].due - now_us();
        struct timespec pause = {left / 1000000, left % 1000000 * 1000};
        if (left > 0)
            ppoll(&readable, 1, &pause, NULL);
        while (last - first < RING) {
            struct question *question = &ring[last % RING];
            socklen_t size = sizeof question->from;
            question->length = (int)recvfrom(dns.fd, question->packet, LONGEST, MSG_DONTWAIT,
                                             (struct sockaddr *)&question->from, &size);
            if (question->length < 17)
                break;
            char label[64];
            first_label(question->packet, label);
            if (strstr(label, "-never") != NULL)
                continue;
            if (dns.delay_us == 0 || strstr(label, "-now") != NULL) {
                send_answer(dns.fd, question);
                continue;
            }
            question->due = now_us() + dns.delay_us;
            last++;
        }
        for (long long now = now_us(); first != last && ring[first % RING].due <= now; first++)
            send_answer(dns.fd, &ring[first % RING]);
    }
}

static void start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, argument) != 0)
        fail("pthread_create");
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s PORT DNS_DELAY_MS COMMAND [ARGUMENT...]\n", argv[0]);
        return 2;
    }
    in_port_t port = htons((uint16_t)atoi(argv[1]));
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in name_server = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, "127.0.0.53", &name_server.sin_addr);
    int listeners[2] = {open_socket(SOCK_STREAM, &four, sizeof four), open_socket(SOCK_STREAM, &six, sizeof six)};
    for (int i = 0; i < 2; i++) {
        if (listen(listeners[i], 65535) != 0)
            fail("listen");
        start(accept_all, (void *)(intptr_t)listeners[i]);
    }
    static struct dns dns;
    int room = 8 << 20;
    dns.fd = open_socket(SOCK_DGRAM, &name_server, sizeof name_server);
    dns.delay_us = atoi(argv[2]) * 1000;
    const char *buffer = getenv("BENCH_SERVER_BUFFER");
    if (buffer == NULL || strcmp(buffer, "default") != 0) {
        setsockopt(dns.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
        setsockopt(dns.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    }
    ring = calloc(RING, sizeof *ring);
    if (ring == NULL)
        fail("calloc");
    start(serve_dns, &dns);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execvp(argv[3], argv + 3);
        fail(argv[3]);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail("fork");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
