/* Preloaded into a process: makes calls of the file system fail as a broken disk makes them fail.

   Without arrange() nothing fails. It says which call (open, read, write, fsync, rename, unlink,
   mkdir, list, stat, truncate) fails on paths that begin with `below`: the `at`-th, counted from
   1, and every later one if `on`; with the number `error`. Every call on such a path is written
   to the file `log`, one a line, if that is given. Processes that this one starts are left alone. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static char below[4096], call[32], log_path[4096];
static int at, on, number;
static atomic_int seen;

void arrange(const char *paths, const char *name, int first, int more, int error, const char *log) {
    snprintf(call, sizeof call, "%s", name);
    snprintf(log_path, sizeof log_path, "%s", log);
    at = first, on = more, number = error, seen = 0;
    snprintf(below, sizeof below, "%s", paths);
}

static int fails(const char *name, int folder, const char *path) {
    char whole[8192] = "", link[64];
    if (!below[0]) return 0;
    if (!path || path[0] != '/') {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        long length = syscall(SYS_readlink, link, whole, 4000);
        if (length < 0) length = 0;
        snprintf(whole + length, 4000, path ? "/%s" : "", path);
    } else {
        snprintf(whole, sizeof whole, "%s", path);
    }
    if (strncmp(whole, below, strlen(below))) return 0;
    if (log_path[0]) {
        char line[8300];
        int length = snprintf(line, sizeof line, "%s %s\n", name, whole);
        long file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        syscall(SYS_write, file, line, length);
        syscall(SYS_close, file);
    }
    if (strcmp(call, name)) return 0;
    int now = atomic_fetch_add(&seen, 1) + 1;
    if (now != at && !(on && now > at)) return 0;
    errno = number;
    return 1;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(int, #name, const char *, int, ...); \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        return fails("open", AT_FDCWD, path) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        REAL(int, #name, int, const char *, int, ...); \
        va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more); \
        return fails("open", folder, path) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define WRAP(type, name, what, folder, path, bad, signature, arguments) \
    type name signature { \
        static type (*real) signature; \
        if (!real) real = (type (*) signature)dlsym(RTLD_NEXT, #name); \
        return fails(what, folder, path) ? bad : real arguments; \
    }

WRAP(ssize_t, read, "read", fd, NULL, -1, (int fd, void *to, size_t n), (fd, to, n))
WRAP(ssize_t, pread64, "read", fd, NULL, -1, (int fd, void *to, size_t n, off64_t o), (fd, to, n, o))
WRAP(ssize_t, write, "write", fd, NULL, -1, (int fd, const void *b, size_t n), (fd, b, n))
WRAP(ssize_t, pwrite64, "write", fd, NULL, -1, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o))
WRAP(int, fsync, "fsync", fd, NULL, -1, (int fd), (fd))
WRAP(int, fdatasync, "fsync", fd, NULL, -1, (int fd), (fd))
WRAP(int, ftruncate64, "truncate", fd, NULL, -1, (int fd, off64_t n), (fd, n))
WRAP(int, rename, "rename", AT_FDCWD, a, -1, (const char *a, const char *b), (a, b))
WRAP(int, renameat, "rename", x, a, -1, (int x, const char *a, int y, const char *b), (x, a, y, b))
WRAP(int, unlink, "unlink", AT_FDCWD, a, -1, (const char *a), (a))
WRAP(int, unlinkat, "unlink", x, a, -1, (int x, const char *a, int f), (x, a, f))
WRAP(int, rmdir, "unlink", AT_FDCWD, a, -1, (const char *a), (a))
WRAP(int, mkdir, "mkdir", AT_FDCWD, a, -1, (const char *a, mode_t m), (a, m))
WRAP(DIR *, opendir, "list", AT_FDCWD, a, NULL, (const char *a), (a))
WRAP(DIR *, fdopendir, "list", fd, NULL, NULL, (int fd), (fd))
WRAP(struct dirent64 *, readdir64, "list", dirfd(d), NULL, NULL, (DIR *d), (d))
WRAP(int, stat64, "stat", AT_FDCWD, a, -1, (const char *a, struct stat64 *s), (a, s))
WRAP(int, lstat64, "stat", AT_FDCWD, a, -1, (const char *a, struct stat64 *s), (a, s))
WRAP(int, fstat64, "stat", fd, NULL, -1, (int fd, struct stat64 *s), (fd, s))
WRAP(int, fstatat64, "stat", x, a, -1, (int x, const char *a, struct stat64 *s, int f), (x, a, s, f))
