/* Two threads and one lookup: each has a reference, whoever drops the last one frees it.
 *
 * shows: happy_lookup_ref
 * run: dual.test
 * prints: the other thread has the answer
 */
#include <happysock.h>
#include <pthread.h>
#include <stdio.h>

static void *other_thread(void *argument)
{
    happy_lookup *lookup = argument;
    struct addrinfo *list = NULL;
    happy_lookup_wait(lookup);
    if (happy_lookup_take_result(lookup, &list) == 0) {
        printf("the other thread has the answer\n");
        freeaddrinfo(list);
    }
    happy_lookup_unref(lookup);
    return NULL;
}

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    pthread_t thread;
    if (argc != 2 ||
        happy_lookup_new(argv[1], "80", NULL, 5000, &lookup) != HAPPY_OK)
        return 2;
    happy_lookup_start(lookup);
    if (pthread_create(&thread, NULL, other_thread,
                       happy_lookup_ref(lookup)) != 0)
        return 1;
    happy_lookup_unref(lookup);
    pthread_join(thread, NULL);
    return 0;
}
