/* Makes the disk under one directory fail or be slow, for the process that loads this first (LD_PRELOAD).
 *
 * What to do is read from a page that is shared with the test: BODEGA_TEST_DISK_SWITCH names its file,
 * BODEGA_TEST_DISK the directory. Numbers of the page are 32 bits wide; unwell_disk.py writes and reads them.
 * Who asks for what the system has in memory, and must not wait, is told that it has nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define STEP_MILLISECONDS 50

enum { READ, WRITE, SYNC, OPEN, SEND, N_KINDS };

struct page {
    /* The error that calls of a kind end with; 0: they work. */
    volatile int32_t error[N_KINDS];
    /* How long each takes before it does anything else. */
    volatile int32_t milliseconds;
    /* What this was made to do, by kind. */
    volatile int32_t n_failed[N_KINDS];
    volatile int32_t n_slow[N_KINDS];
};

static struct page nothing;
static struct page *page = &nothing;
static char folder[PATH_MAX];
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("BODEGA_TEST_DISK_SWITCH"), *where = getenv("BODEGA_TEST_DISK");
    int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    if (!file || !where || strlen(where) >= sizeof folder)
        return;
    int descriptor = real_open(file, O_RDWR | O_CLOEXEC);
    void *shared = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (descriptor < 0 || shared == MAP_FAILED)
        abort();
    close(descriptor);
    strcpy(folder, where);
    folder_length = strlen(folder);
    page = shared;
}

static int is_under(const char *path) {
    return folder_length && strncmp(path, folder, folder_length) == 0
        && (path[folder_length] == '/' || path[folder_length] == '\0');
}

static int is_on_it(int descriptor) {
    char link[64], path[PATH_MAX];
    char digits[16];
    int n = 0, saved = errno;
    strcpy(link, "/proc/self/fd/");
    unsigned rest = (unsigned)descriptor;
    do
        digits[n++] = (char)('0' + rest % 10);
    while (rest /= 10);
    char *end = link + strlen(link);
    while (n)
        *end++ = digits[--n];
    *end = '\0';
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (length < 0)
        return 0;
    path[length] = '\0';
    return is_under(path);
}

static int is_unwell(int kind) {
    return page->error[kind] || page->milliseconds;
}

/* Whether the call fails, after the time that it takes. */
static int fails(int kind) {
    int error = page->error[kind];
    if (page->milliseconds)
        __atomic_fetch_add(&page->n_slow[kind], 1, __ATOMIC_RELAXED);
    /* In steps, so that nothing hangs any longer once the disk is well. */
    for (int waited = 0; waited < page->milliseconds; waited += STEP_MILLISECONDS) {
        struct timespec time = {0, STEP_MILLISECONDS * 1000000L};
        nanosleep(&time, NULL);
    }
    if (!error)
        return 0;
    __atomic_fetch_add(&page->n_failed[kind], 1, __ATOMIC_RELAXED);
    errno = error;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A call on an open file. */
#define ON_FILE(kind, type, name, parameters, descriptor, arguments) \
    type name parameters { \
        REAL(name); \
        if (is_unwell(kind) && is_on_it(descriptor) && fails(kind)) \
            return -1; \
        return real arguments; \
    }

ON_FILE(READ, ssize_t, read, (int file, void *to, size_t n), file, (file, to, n))
ON_FILE(READ, ssize_t, pread, (int file, void *to, size_t n, off_t at), file, (file, to, n, at))
ON_FILE(READ, ssize_t, pread64, (int file, void *to, size_t n, off64_t at), file, (file, to, n, at))
ON_FILE(WRITE, ssize_t, write, (int file, const void *from, size_t n), file, (file, from, n))
ON_FILE(WRITE, ssize_t, writev, (int file, const struct iovec *from, int n), file, (file, from, n))
ON_FILE(WRITE, ssize_t, pwrite, (int file, const void *from, size_t n, off_t at), file, (file, from, n, at))
ON_FILE(WRITE, ssize_t, pwrite64, (int file, const void *from, size_t n, off64_t at), file, (file, from, n, at))
ON_FILE(WRITE, ssize_t, pwritev, (int file, const struct iovec *from, int n, off_t at), file, (file, from, n, at))
ON_FILE(WRITE, ssize_t, pwritev64, (int file, const struct iovec *from, int n, off64_t at), file, (file, from, n, at))
ON_FILE(WRITE, int, fallocate, (int file, int mode, off_t at, off_t n), file, (file, mode, at, n))
ON_FILE(WRITE, int, fallocate64, (int file, int mode, off64_t at, off64_t n), file, (file, mode, at, n))
ON_FILE(WRITE, int, ftruncate, (int file, off_t n), file, (file, n))
ON_FILE(WRITE, int, ftruncate64, (int file, off64_t n), file, (file, n))
ON_FILE(SYNC, int, fsync, (int file), file, (file))
ON_FILE(SYNC, int, fdatasync, (int file), file, (file))

/* What is not in memory has to be waited for: this one never does. */
static int would_wait(int descriptor) {
    return is_unwell(READ) && is_on_it(descriptor);
}

#define WITHOUT_WAITING(name, offset) \
    ssize_t name(int file, const struct iovec *to, int n, offset at, int flags) { \
        REAL(name); \
        if (would_wait(file)) { \
            errno = EAGAIN; \
            return -1; \
        } \
        return real(file, to, n, at, flags); \
    }
WITHOUT_WAITING(preadv2, off_t)
WITHOUT_WAITING(preadv64v2, off64_t)

/* cachestat(2), which the C library has no name for: as on systems that do not know it. */
long syscall(long number, ...) {
    REAL(syscall);
    va_list list;
    long given[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        given[i] = va_arg(list, long);
    va_end(list);
    if (number == 451 && would_wait((int)given[0])) {
        errno = ENOSYS;
        return -1;
    }
    return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}

/* What is not sent to anybody is read. */
static int is_socket(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

#define SENDING(name, offset) \
    ssize_t name(int to, int from, offset *at, size_t n) { \
        REAL(name); \
        int sends = is_socket(to); \
        if ((sends ? page->error[SEND] : is_unwell(READ)) && is_on_it(from) && fails(sends ? SEND : READ)) \
            return -1; \
        return real(to, from, at, n); \
    }
SENDING(sendfile, off_t)
SENDING(sendfile64, off64_t)

/* A call that names a file. */
#define BY_NAME(name, parameters, path, arguments) \
    int name parameters { \
        REAL(name); \
        if (is_unwell(OPEN) && is_under(path) && fails(OPEN)) \
            return -1; \
        return real arguments; \
    }
BY_NAME(rename, (const char *from, const char *to), from, (from, to))
BY_NAME(unlink, (const char *path), path, (path))
BY_NAME(mkdir, (const char *path, mode_t mode), path, (path, mode))

/* Opening fails where it is for writing. */
#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = va_arg(list, mode_t); \
        va_end(list); \
        int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; \
        if (is_unwell(OPEN) && writes && is_under(path) && fails(OPEN)) \
            return -1; \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
