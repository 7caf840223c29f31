/* The floor: what a program does that knows nothing but its own task. An epoll set, a socket for each connect, the
 * times at which a second attempt would be due in a list; names are looked up by threads that call getaddrinfo(3) once
 * for both families. */
#define _GNU_SOURCE
#include "multi_common.h"
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

struct connect {
    int fd, index;
    double due;
    struct connect *earlier, *later;
    struct addrinfo *addresses;
    struct connect *next_answer;
};

static struct connect *connects;
static struct connect *oldest, *youngest;
static int set, running;

static void begin(struct connect *connect_, const struct sockaddr *address, socklen_t length)
{
    connect_->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (connect_->fd < 0 || (connect(connect_->fd, address, length) != 0 && errno != EINPROGRESS))
        fail("socket or connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connect_};
    if (epoll_ctl(set, EPOLL_CTL_ADD, connect_->fd, &event) != 0)
        fail("epoll_ctl");
    connect_->due = now_us() + 250000;
    connect_->earlier = youngest;
    if (youngest != NULL)
        youngest->later = connect_;
    else
        oldest = connect_;
    youngest = connect_;
}

static void end(struct connect *connect_)
{
    *(connect_->earlier ? &connect_->earlier->later : &oldest) = connect_->later;
    *(connect_->later ? &connect_->later->earlier : &youngest) = connect_->earlier;
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(connect_->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    *(error == 0 ? &bench.ok : &bench.failed) += 1;
    close_with_reset(connect_->fd);
    if (connect_->addresses != NULL)
        freeaddrinfo(connect_->addresses);
    running--;
}

/* ---- The threads that look up -------------------------------------------------------------------------------------
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int next_question, wake_up = -1;
static struct connect *answers;

static void *look_up(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        int index = next_question < bench.count ? next_question++ : -1;
        pthread_mutex_unlock(&lock);
        if (index < 0)
            return NULL;
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
        char name[256];
        if (getaddrinfo(bench_host(index, name), bench.service, &hints, &connects[index].addresses) != 0)
            connects[index].addresses = NULL;
        pthread_mutex_lock(&lock);
        bool first = answers == NULL;
        connects[index].next_answer = answers;
        answers = &connects[index];
        pthread_mutex_unlock(&lock);
        uint64_t one = 1;
        if (first && write(wake_up, &one, sizeof one) != sizeof one)
            fail("write");
    }
}

static void take_answers(void)
{
    uint64_t count;
    if (read(wake_up, &count, sizeof count) != sizeof count && errno != EAGAIN)
        fail("read");
    pthread_mutex_lock(&lock);
    struct connect *list = answers;
    answers = NULL;
    pthread_mutex_unlock(&lock);
    for (; list != NULL; list = list->next_answer) {
        if (list->addresses != NULL) {
            begin(list, list->addresses->ai_addr, list->addresses->ai_addrlen);
        } else {
            bench.failed++;
            running--;
        }
    }
}

static void start_threads(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    wake_up = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_ctl(set, EPOLL_CTL_ADD, wake_up, &event);
    for (int i = 0; i < bench.threads && i < bench.count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, look_up, NULL) != 0)
            fail("pthread_create");
    }
    bench.most_threads = threads_now();
}

int main(int argc, char **argv)
{
    struct epoll_event ready[256];
    bench_arguments(argc, argv);
    set = epoll_create1(EPOLL_CLOEXEC);
    bench_begin();
    connects = calloc((size_t)bench.count, sizeof *connects);
    if (connects == NULL)
        fail("calloc");
    running = bench.count;
    if (mode_is("name")) {
        start_threads();
    } else {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *addresses;
        for (int i = 0; i < bench.count; i++) {
            if (getaddrinfo(bench.host, bench.service, &hints, &addresses) != 0)
                fail(bench.host);
            begin(&connects[i], addresses->ai_addr, addresses->ai_addrlen);
            freeaddrinfo(addresses);
        }
    }
    if (mode_is("hole")) {
        bench_all_begun();
        for (int i = 0; i < bench.count; i++)
            end(&connects[i]);
        bench.ok = bench.failed = 0;
        bench.cancelled = now_us();
    } else {
        while (running > 0) {
            double left = oldest == NULL ? -1 : (oldest->due - now_us()) / 1000;
            int count = epoll_wait(set, ready, 256, oldest == NULL ? -1 : left > 0 ? (int)left + 1 : 1000);
            for (int i = 0; i < count; i++) {
                if (ready[i].data.ptr == NULL)
                    take_answers();
                else
                    end(ready[i].data.ptr);
            }
        }
        bench_all_ended();
    }
    if (bench.most_threads == 0)
        bench.most_threads = 1;
    bench_print("floor");
    return bench.failed == 0 ? 0 : 1;
}
