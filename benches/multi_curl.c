/* libcurl's multi interface, by socket action over epoll, each handle connecting only. */
#include "multi_common.h"
#include <curl/curl.h>
#include <sys/epoll.h>

static int set;
/* When the timer is due, in us; negative: never. */
static double deadline = -1;
/* libcurl starts a thread for each lookup: the cap on threads is one on handles that were added. */
static int next, running_handles, begun;
static CURLM *multi;
static CURL **handles;

static int watch(CURL *handle, curl_socket_t fd, int what, void *userdata, void *watched)
{
    (void)handle, (void)userdata;
    struct epoll_event event = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0),
                                .data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(set, EPOLL_CTL_DEL, fd, &event);
        curl_multi_assign(multi, fd, NULL);
    } else {
        epoll_ctl(set, watched != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
        curl_multi_assign(multi, fd, &set);
    }
    return 0;
}

static int set_timer(CURLM *self, long timeout_ms, void *userdata)
{
    (void)self, (void)userdata;
    deadline = timeout_ms < 0 ? -1 : now_us() + (double)timeout_ms * 1000;
    return 0;
}

static int close_socket(void *userdata, curl_socket_t fd)
{
    (void)userdata;
    close_with_reset(fd);
    return 0;
}

static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)userdata, (void)purpose;
    begun++;
    return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

static void add_some(void)
{
    while (next < bench.count && (!mode_is("name") || running_handles < bench.threads)) {
        char name[256], url[300];
        CURL *handle = curl_easy_init();
        const char *host = bench_host(next, name);
        snprintf(url, sizeof url, strchr(host, ':') ? "http://[%s]:%s/" : "http://%s:%s/", host, bench.service);
        curl_easy_setopt(handle, CURLOPT_URL, url);
        curl_easy_setopt(handle, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(handle, CURLOPT_PROXY, "");
        curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 60L);
        curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(handle, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        handles[next] = handle;
        curl_easy_setopt(handle, CURLOPT_PRIVATE, &handles[next]);
        if (curl_multi_add_handle(multi, handle) != CURLM_OK)
            fail("curl_multi_add_handle");
        next++;
        running_handles++;
    }
}

static void take_ended(void)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        CURL *handle = message->easy_handle;
        CURL **place;
        *(message->data.result == CURLE_OK ? &bench.ok : &bench.failed) += 1;
        curl_easy_getinfo(handle, CURLINFO_PRIVATE, &place);
        *place = NULL;
        curl_multi_remove_handle(multi, handle);
        curl_easy_cleanup(handle);
        running_handles--;
    }
    add_some();
}

static void turn(int limit_ms)
{
    struct epoll_event ready[256];
    int running;
    double left = (deadline - now_us()) / 1000;
    int timeout = deadline < 0 || left > limit_ms ? limit_ms : left > 0 ? (int)left + 1 : 0;
    int count = epoll_wait(set, ready, 256, timeout);
    for (int i = 0; i < count; i++)
        curl_multi_socket_action(multi, ready[i].data.fd,
                                 (ready[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                                     (ready[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                                     (ready[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
                                 &running);
    if (deadline >= 0 && deadline <= now_us()) {
        deadline = -1;
        curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_ended();
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    set = epoll_create1(EPOLL_CLOEXEC);
    handles = calloc((size_t)bench.count, sizeof *handles);
    multi = curl_multi_init();
    if (multi == NULL || handles == NULL)
        fail("curl_multi_init");
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 1L);
    int rounds = 0;
    bench_begin();
    add_some();
    if (mode_is("hole")) {
        while (begun < bench.count)
            turn(1000);
        bench_all_begun();
        for (int i = 0; i < bench.count; i++) {
            curl_multi_remove_handle(multi, handles[i]);
            curl_easy_cleanup(handles[i]);
        }
        bench.cancelled = now_us();
    } else {
        while (running_handles > 0) {
            turn(1000);
            if (rounds++ % 64 == 0) {
                int threads = threads_now();
                bench.most_threads = threads > bench.most_threads ? threads : bench.most_threads;
            }
        }
        bench_all_ended();
    }
    if (bench.most_threads == 0)
        bench.most_threads = threads_now();
    curl_multi_cleanup(multi);
    char who[64];
    snprintf(who, sizeof who, "libcurl %s", curl_version_info(CURLVERSION_NOW)->version);
    bench_print(who);
    return 0;
}
