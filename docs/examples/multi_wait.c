/* Many connects without a loop, under caps; another thread ends the wait, and one connect is cancelled.
 *
 * shows: happy_multi_wait happy_multi_wakeup happy_multi_cancel happy_multi_set_max_attempts
 * shows: happy_multi_set_max_lookups
 * run: silent.test dual.test PORT
 * prints: dual.test: connected
 * prints: woken, with 1 connect left
 * prints: silent.test: cancelled
 */
#include <happysock.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static void done(happy_multi *multi, uint64_t id, const happy_result *result,
                 void *userdata)
{
    const char *host = userdata;
    (void)multi, (void)id;
    printf("%s: %s\n", host,
           result->status == HAPPY_OK ? "connected"
                                      : happy_status_str(result->status));
    if (result->status == HAPPY_OK)
        close(result->fd);
}

static atomic_int stop;

/* Whatever tells the program that it is to end. */
static void *other_thread(void *multi)
{
    stop = 1;
    happy_multi_wakeup(multi);
    return NULL;
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    pthread_t thread;
    uint64_t silent = 0;
    int running = 2;
    if (argc != 4 || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    happy_multi_set_max_attempts(multi, 100);
    happy_multi_set_max_lookups(multi, 20);
    if (happy_multi_add(multi, argv[1], argv[3], NULL, done, &silent, NULL,
                        argv[1]) != HAPPY_OK ||
        happy_multi_add(multi, argv[2], argv[3], NULL, done, NULL, NULL,
                        argv[2]) != HAPPY_OK)
        return 1;
    while (running > 1 && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
    }
    if (pthread_create(&thread, NULL, other_thread, multi) != 0)
        return 1;
    while (!stop && happy_multi_wait(multi, -1, &running) == HAPPY_OK) {
    }
    pthread_join(thread, NULL);
    printf("woken, with %d connect left\n", running);
    happy_multi_cancel(multi, silent);
    happy_multi_free(multi);
    return 0;
}
