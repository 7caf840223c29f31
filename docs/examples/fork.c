/* A fork while a lookup hangs: the fork does not wait, and the child looks names up.
 *
 * run: nobody.silent.test dual.test
 * prints: the child has resolved dual.test
 * prints: the parent's lookup in the child: -7007
 */
#include <happysock.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL;
    if (argc != 3 ||
        happy_lookup_new(argv[1], "80", NULL, -1, &lookup) != HAPPY_OK ||
        happy_lookup_start(lookup) != HAPPY_OK)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        if (rb_getaddrinfo_happy(argv[2], "80", NULL, &list, 5000) == 0) {
            printf("the child has resolved %s\n", argv[2]);
            freeaddrinfo(list);
        }
        /* What the parent had is the parent's: it can only be freed here. */
        printf("the parent's lookup in the child: %d\n",
               happy_lookup_wait(lookup));
        happy_lookup_unref(lookup);
        return 0;
    }
    if (child > 0)
        waitpid(child, NULL, 0);
    happy_lookup_unref(lookup);
    return child > 0 ? 0 : 1;
}
