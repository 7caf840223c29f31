#define _GNU_SOURCE
#include "name_server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_HTTPS = 65, HEADER = 12, LARGEST = 512, RECORD = 96, MOST_STREAMS = 1024 };

static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct asked record[MOST_QUESTIONS];
static int recorded;
static int service_port;
static int datagrams = -1, listener = -1, over = -1;

static void name_server_fails(const char *what)
{
    perror(what);
    abort();
}

static bool begins(const char *name, const char *word)
{
    return strncasecmp(name, word, strlen(word)) == 0;
}

/* Reads a question; its length with the header, or 0. */
static size_t read_question(const unsigned char *message, size_t length, struct asked *ret_asked)
{
    size_t place = HEADER, written = 0;
    if (length < HEADER + 5)
        return 0;
    while (place < length && message[place] != 0) {
        size_t label = message[place];
        if (label > 63 || place + 1 + label >= length || written + label + 2 > sizeof ret_asked->name)
            return 0;
        memcpy(ret_asked->name + written, message + place + 1, label);
        written += label;
        ret_asked->name[written++] = '.';
        place += 1 + label;
    }
    ret_asked->name[written == 0 ? 0 : written - 1] = 0;
    if (place + 5 > length)
        return 0;
    ret_asked->id = (uint16_t)(message[0] << 8 | message[1]);
    ret_asked->type = (uint16_t)(message[place + 1] << 8 | message[place + 2]);
    return place + 5;
}

/* Writes the data of a name's HTTPS record (RFC 9460, section 2.2); its length, or 0: it has none. */
static size_t service_binding(unsigned char *data, const char *name)
{
    static const unsigned char bare[] = {0, 7, 0};
    const unsigned char full[] = {
        0, 1,                                                                   /* SvcPriority */
        4, 'f', 'o', 'u', 'r', 3, 's', 'v', 'c', 4, 't', 'e', 's', 't', 0,      /* TargetName */
        0, 1, 0, 6, 2, 'h', '2', 2, 'h', '3',                                   /* alpn */
        0, 3, 0, 2, (unsigned char)(service_port >> 8), (unsigned char)service_port, /* port */
        0, 5, 0, SERVICE_ECH_LENGTH,                                            /* ech, whose value follows */
    };
    if (begins(name, "svcbare")) {
        memcpy(data, bare, sizeof bare);
        return sizeof bare;
    }
    if (!begins(name, "svc"))
        return 0;
    memcpy(data, full, sizeof full);
    memcpy(data + sizeof full, SERVICE_ECH, SERVICE_ECH_LENGTH);
    return sizeof full + SERVICE_ECH_LENGTH;
}

/* Writes the answer to a question that stands in `message` already; its length. */
static size_t answer(unsigned char *message, size_t length, const struct asked *asked, bool truncated)
{
    static const unsigned char six[16] = {[15] = 1}, four[4] = {127, 0, 0, 1};
    unsigned char data[64];
    size_t data_length = 0;
    int code = begins(asked->name, "nx") ? 3 : begins(asked->name, "fail") ? 2 : 0;
    if (asked->type == TYPE_HTTPS) {
        data_length = service_binding(data, asked->name);
    } else if (asked->type != TYPE_AAAA) {
        memcpy(data, four, data_length = sizeof four);
    } else if (!begins(asked->name, "four")) {
        memcpy(data, six, data_length = sizeof six);
    }
    message[2] = (unsigned char)(0x81 | (truncated ? 2 : 0));
    message[3] = (unsigned char)(0x80 | code);
    memset(message + 6, 0, 6);
    if (code != 0 || truncated || data_length == 0)
        return length;
    message[7] = 1;
    unsigned char record_head[] = {0xc0, HEADER, 0, (unsigned char)asked->type, 0, 1, 0, 0, 0, 60, 0, (unsigned char)data_length};
    memcpy(message + length, record_head, sizeof record_head);
    memcpy(message + length + sizeof record_head, data, data_length);
    return length + sizeof record_head + data_length;
}

/* What no resolver should take for an answer: of the kind `which`. */
static size_t junk(unsigned char *message, size_t length, int which)
{
    switch (which % 5) {
    case 0: /* another id */
        message[1] ^= 0x5a;
        message[2] = 0x81;
        break;
    case 1: /* another question */
        message[HEADER + 1] ^= 1;
        message[2] = 0x81;
        break;
    case 2: /* another type */
        message[length - 3] ^= 2;
        message[2] = 0x81;
        break;
    case 3: /* a question that points beyond the end */
        message[2] = 0x81;
        message[HEADER] = 0xc1;
        message[HEADER + 1] = 0xff;
        break;
    default: /* a question that ends before it has begun */
        message[2] = 0x81;
        return HEADER;
    }
    return length;
}

static void note(const struct asked *asked)
{
    pthread_mutex_lock(&lock);
    if (recorded < MOST_QUESTIONS)
        record[recorded++] = *asked;
    pthread_mutex_unlock(&lock);
}

struct target {
    struct sockaddr_in address;
    unsigned char message[LARGEST];
    size_t length;
    bool there;
};

static void take_datagram(struct target *flooded)
{
    unsigned char message[LARGEST + RECORD] = {0}, copy[LARGEST + RECORD];
    struct sockaddr_in from;
    socklen_t from_length = sizeof from;
    struct asked asked = {0};
    ssize_t count = recvfrom(datagrams, message, LARGEST, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
    size_t length = count < 0 ? 0 : read_question(message, (size_t)count, &asked);
    if (length == 0)
        return;
    asked.port = ntohs(from.sin_port);
    note(&asked);
    flooded->there = begins(asked.name, "flood");
    if (flooded->there) {
        flooded->address = from;
        memcpy(flooded->message, message, length);
        flooded->length = length;
    }
    if (begins(asked.name, "silence") || flooded->there)
        return;
    for (int i = 0; begins(asked.name, "junk") && i < 20; i++) {
        memcpy(copy, message, sizeof copy);
        size_t junk_length = junk(copy, length, i);
        sendto(datagrams, copy, junk_length, 0, (struct sockaddr *)&from, from_length);
    }
    bool truncated = begins(asked.name, "tc") || begins(asked.name, "stall");
    length = answer(message, length, &asked, truncated);
    sendto(datagrams, message, length, 0, (struct sockaddr *)&from, from_length);
}

/* To each question an answer, in pieces. Questions come whole; libc's two of a name come together. */
static bool take_stream(int fd)
{
    unsigned char received[LARGEST];
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count < 2)
        return false;
    for (size_t place = 0, left; (left = (size_t)count - place) > 2; place += 2 + (size_t)(received[place] << 8 | received[place + 1])) {
        unsigned char message[2 + LARGEST + RECORD] = {0};
        struct asked asked = {.by_tcp = true};
        memcpy(message, received + place, left);
        size_t length = read_question(message + 2, left - 2, &asked);
        if (length == 0 || 2 + (size_t)(message[0] << 8 | message[1]) > left)
            return false;
        note(&asked);
        if (begins(asked.name, "stall"))
            continue;
        length = answer(message + 2, length, &asked, false);
        message[0] = (unsigned char)(length >> 8);
        message[1] = (unsigned char)length;
        if (send(fd, message, 3, MSG_NOSIGNAL) != 3 || send(fd, message + 3, length - 1, MSG_NOSIGNAL) <= 0)
            return false;
    }
    return true;
}

static void *serve(void *unused)
{
    struct pollfd fds[3 + MOST_STREAMS] = {{datagrams, POLLIN, 0}, {listener, POLLIN, 0}, {over, POLLIN, 0}};
    struct target flooded = {.there = false};
    nfds_t count = 3;
    (void)unused;
    for (unsigned turn = 0;; turn++) {
        if (poll(fds, count, flooded.there ? 0 : -1) < 0 && errno != EINTR)
            name_server_fails("poll");
        if (fds[2].revents != 0)
            break;
        if (flooded.there) {
            unsigned char copy[LARGEST];
            memcpy(copy, flooded.message, sizeof copy);
            size_t length = junk(copy, flooded.length, (int)(turn % 5));
            sendto(datagrams, copy, length, MSG_DONTWAIT, (struct sockaddr *)&flooded.address, sizeof flooded.address);
        }
        if (fds[0].revents != 0)
            take_datagram(&flooded);
        if (fds[1].revents != 0 && count < sizeof fds / sizeof *fds)
            fds[count++] = (struct pollfd){accept4(listener, NULL, NULL, SOCK_CLOEXEC), POLLIN, 0};
        for (nfds_t i = 3; i < count; i++)
            if (fds[i].revents != 0 && !take_stream(fds[i].fd)) {
                close(fds[i].fd);
                fds[i--] = fds[--count];
            }
    }
    while (count > 3)
        close(fds[--count].fd);
    return NULL;
}

void name_server_set_service_port(int port)
{
    service_port = port;
}

void name_server_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int one = 1;
    inet_pton(AF_INET, "127.0.0.53", &address.sin_addr);
    recorded = 0;
    datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    over = eventfd(0, EFD_CLOEXEC);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(datagrams, (struct sockaddr *)&address, sizeof address) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, SOMAXCONN) != 0 ||
        pthread_create(&thread, NULL, serve, NULL) != 0)
        name_server_fails("the name server");
}

void name_server_stop(void)
{
    eventfd_write(over, 1);
    pthread_join(thread, NULL);
    close(datagrams);
    close(listener);
    close(over);
}

void name_server_start_process(void)
{
    int ready[2];
    char byte = 0;
    pid_t parent = getpid();
    if (pipe(ready) == -1)
        name_server_fails("pipe");
    pid_t server = fork();
    if (server == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
            _exit(2);
        name_server_start();
        if (write(ready[1], "x", 1) != 1)
            _exit(2);
        close(ready[0]);
        close(ready[1]);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (server == -1 || read(ready[0], &byte, 1) != 1)
        name_server_fails("the process of the name server");
    close(ready[0]);
}

/* A question that was not answered in time is asked again as it was. */
static bool was_asked_before(int place)
{
    for (int i = 0; i < place; i++)
        if (record[i].id == record[place].id && record[i].type == record[place].type &&
            record[i].by_tcp == record[place].by_tcp && strcasecmp(record[i].name, record[place].name) == 0)
            return true;
    return false;
}

int questions_for(const char *name)
{
    int count = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < recorded; i++)
        count += (name == NULL || strcasecmp(record[i].name, name) == 0) && !was_asked_before(i);
    pthread_mutex_unlock(&lock);
    return count;
}

const struct asked *questions(int *ret_count)
{
    *ret_count = recorded;
    return record;
}
