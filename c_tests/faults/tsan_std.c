/* What ThreadSanitizer cannot see of Rust's standard library, told to it.
 *
 * The library is compiled with the sanitizer, the standard library comes without. Its generic parts are compiled with the library and are
 * seen; three things are not, and would be taken for races. The linker's --wrap puts these functions in front of them; each says no more
 * than what the original does, so that nothing of ours is hidden, as a suppression of the reports would:
 *
 *  - a contended Mutex::lock acquires the mutex in code that is not instrumented (the unlock is inlined, and seen);
 *  - Once::call, of OnceLock, publishes what it has made in such code;
 *  - an Arc whose count falls to zero uses a fence, of which ThreadSanitizer knows nothing, for the counter that it has just lowered. */
#include <stdint.h>

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

/* The mangled names hold a hash of the toolchain: the Makefile finds them and says -DMUTEX_LOCK=... and -DONCE_CALL=... */
#define PASTE(a, b) a##b
#define WRAP(name) PASTE(__wrap_, name)
#define REAL(name) PASTE(__real_, name)

#ifdef MUTEX_LOCK
extern void REAL(MUTEX_LOCK)(void *mutex);
void WRAP(MUTEX_LOCK)(void *mutex)
{
    REAL(MUTEX_LOCK)(mutex);
    __tsan_acquire(mutex);
}
#endif

#ifdef ONCE_CALL
extern void REAL(ONCE_CALL)(void *once, uintptr_t ignore_poisoning, void *closure, void *closure_functions, void *caller);
void WRAP(ONCE_CALL)(void *once, uintptr_t ignore_poisoning, void *closure, void *closure_functions, void *caller)
{
    REAL(ONCE_CALL)(once, ignore_poisoning, closure, closure_functions, caller);
    __tsan_acquire(once);
    __tsan_release(once);
}
#endif

static _Thread_local void *lowered;

extern uint64_t __real___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order);
uint64_t __wrap___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order)
{
    lowered = (void *)address;
    return __real___tsan_atomic64_fetch_sub(address, value, order);
}

extern void __real___tsan_atomic_thread_fence(int order);
void __wrap___tsan_atomic_thread_fence(int order)
{
    if (lowered != 0)
        __tsan_acquire(lowered);
    __real___tsan_atomic_thread_fence(order);
}
