/*
 * Connects twice to a Redis server, sends PING, and prints the milliseconds of each connect: redis-ping sync|async HOST PORT
 *
 * With PATCHED async races by a happy_connect in the loop below, and hands the socket over.
 */
#include <async.h>
#include <hiredis.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef PATCHED
#include <happysock.h>
#endif

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void fail(const char *what)
{
    fprintf(stderr, "redis-ping: %s\n", what);
    exit(1);
}

static double ping_sync(const char *host, int port)
{
    double began = now_ms(), took;
    redisContext *context = redisConnect(host, port);
    redisReply *reply;

    if (!context || context->err) fail(context ? context->errstr : "no memory");
    took = now_ms() - began;
    reply = redisCommand(context, "PING");
    if (!reply || strcmp(reply->str, "PONG") != 0) fail("no PONG");
    freeReplyObject(reply);
    redisFree(context);
    return took;
}

/* An adapter of the smallest kind: what hiredis waits for, for poll(2). */
static short events;
static double connected_at;
static int ponged;

static void add_read(void *unused) { (void)unused; events |= POLLIN; }
static void del_read(void *unused) { (void)unused; events &= ~POLLIN; }
static void add_write(void *unused) { (void)unused; events |= POLLOUT; }
static void del_write(void *unused) { (void)unused; events &= ~POLLOUT; }

static void connected(const redisAsyncContext *context, int status)
{
    if (status != REDIS_OK) fail(context->errstr);
    connected_at = now_ms();
}

static void pong(redisAsyncContext *context, void *reply, void *unused)
{
    (void)unused;
    ponged = reply && strcmp(((redisReply *)reply)->str, "PONG") == 0;
    redisAsyncDisconnect(context);
}

static redisAsyncContext *begin(const char *host, int port)
{
#ifdef PATCHED
    static happy_history *history;
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *race = NULL;
    char service[8];
    int fd;

    if (!history) happy_history_new(&history);
    snprintf(service, sizeof service, "%d", port);
    options.preferred_family = AF_INET;
    options.history = history;
    if (happy_connect_new(host, service, &options, &race, NULL) != HAPPY_OK) fail(happy_error_message());
    while (happy_connect_dispatch(race) == HAPPY_EAGAIN) {
        struct pollfd descriptor = {happy_connect_get_fd(race), POLLIN, 0};

        poll(&descriptor, 1, -1);
    }
    fd = happy_connect_take_result(race, NULL);
    happy_connect_free(race);
    if (fd < 0) fail(happy_error_message());
    return redisAsyncConnectFd(fd);
#else
    return redisAsyncConnect(host, port);
#endif
}

static double ping_async(const char *host, int port)
{
    double began = now_ms();
    redisAsyncContext *context = begin(host, port);

    if (!context || context->err) fail(context ? context->errstr : "no memory");
    events = 0;
    ponged = 0;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    redisAsyncSetConnectCallback(context, connected);
    redisAsyncCommand(context, pong, NULL, "PING");
    while (!ponged) {
        struct pollfd descriptor = {context->c.fd, events, 0};

        poll(&descriptor, 1, -1);
        if (descriptor.revents & (POLLIN | POLLHUP)) redisAsyncHandleRead(context);
        else if (descriptor.revents) redisAsyncHandleWrite(context);
    }
    return connected_at - began;
}

int main(int argc, char **argv)
{
    if (argc != 4) fail("usage: redis-ping sync|async HOST PORT");
    for (int round = 0; round < 2; round++) {
        printf("%.1f\n", strcmp(argv[1], "sync") == 0 ? ping_sync(argv[2], atoi(argv[3])) : ping_async(argv[2], atoi(argv[3])));
        fflush(stdout);
    }
    return 0;
}
