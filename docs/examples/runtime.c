/* A runtime that lets a function block without its lock, and has another called to end that: a stand-in for
 * rb_thread_call_without_gvl2 of Ruby, which takes functions of this shape.
 *
 * shows: happy_lookup_wait_callback happy_lookup_cancel_callback happy_connect_wait_callback
 * shows: happy_connect_interrupt_callback happy_connect_cancel_callback
 * run: nobody.silent.test silent.test
 * prints: lookup: Operation canceled
 * prints: connect: interrupted: not finished yet
 * prints: connect: cancelled
 */
#include <happysock.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

struct unblock {
    void (*function)(void *);
    void *data;
};

static void *unblock_soon(void *argument)
{
    struct unblock *unblock = argument;
    struct timespec pause = {0, 100 * 1000 * 1000};
    nanosleep(&pause, NULL);
    unblock->function(unblock->data);
    return NULL;
}

/* Calls what blocks; another thread ends it. */
static void without_lock(void *(*block)(void *), void *data,
                         void (*function)(void *))
{
    struct unblock unblock = {function, data};
    pthread_t thread;
    if (pthread_create(&thread, NULL, unblock_soon, &unblock) != 0)
        return;
    block(data);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    happy_connect *connect = NULL;
    happy_result result = HAPPY_RESULT_INIT;
    struct addrinfo *list = NULL;
    if (argc != 3 ||
        happy_lookup_new(argv[1], "80", NULL, -1, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK ||
        happy_connect_new(argv[2], "80", NULL, &connect, NULL) != HAPPY_OK)
        return 1;

    without_lock(happy_lookup_wait_callback, lookup,
                 happy_lookup_cancel_callback);
    if (happy_lookup_take_result(lookup, &list) != 0)
        printf("lookup: %s\n", happy_error_message());
    happy_lookup_unref(lookup);

    without_lock(happy_connect_wait_callback, connect,
                 happy_connect_interrupt_callback);
    /* Here a runtime would handle its interrupts, and then go on. */
    printf("connect: interrupted: %s\n",
           happy_status_str(happy_connect_dispatch(connect)));
    without_lock(happy_connect_wait_callback, connect,
                 happy_connect_cancel_callback);
    happy_connect_take_result(connect, &result);
    printf("connect: %s\n", happy_status_str(result.status));
    happy_connect_free(connect);
    return 0;
}
