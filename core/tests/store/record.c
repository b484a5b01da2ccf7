/* Preloaded into a process: records what it writes below $RECORDED_FOLDER, and what it syncs, in order, to
   $RECORDED_LOG. Nothing is really synced, which nobody could tell without a power cut. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* kind: w(rite), s(ync of a file), d (sync of a folder), n(ew name), m(ake folder), u(nlink), r(ename), t(runcate) */
struct head {
    uint8_t kind, synced;
    uint16_t name_size;
    uint32_t unused;
    uint64_t inode, offset, size;
};

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

static void put(const void *data, size_t size) {
    static int log = -1;
    if (log < 0)
        log = syscall(SYS_openat, AT_FDCWD, getenv("RECORDED_LOG"),
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    while (size) {
        long done = syscall(SYS_write, log, data, size);
        if (done <= 0) abort();
        data = (const char *)data + done;
        size -= done;
    }
}

static int ours(const char *path) {
    const char *folder = getenv("RECORDED_FOLDER");
    return folder && !strncmp(path, folder, strlen(folder));
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return ours(path);
}

static void record(char kind, int fd, const char *path, uint64_t offset, const void *data, uint64_t size) {
    struct stat status = {0};
    if (fd >= 0) fstat(fd, &status);
    struct head head = {kind, 0, strlen(path), 0, status.st_ino, offset, size};
    if (kind == 'w') head.synced = !!(fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC));
    put(&head, sizeof head);
    put(path, strlen(path));
    if (data) put(data, size);
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    pthread_mutex_lock(&one);
    int is_new = (flags & O_CREAT) && faccessat(folder, path, F_OK, 0);
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && path_of(fd, full)) {
        if (is_new) record('n', fd, full, 0, NULL, 0);
        else if (flags & O_TRUNC) record('t', fd, full, 0, NULL, 0);
    }
    pthread_mutex_unlock(&one);
    return fd;
}

#define MODE va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest)
int open(const char *path, int flags, ...) { MODE; return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; return opened(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE; return opened(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE; return opened(folder, path, flags, mode); }

static ssize_t written(int fd, const void *data, size_t size, off_t offset) {
    char path[PATH_MAX];
    pthread_mutex_lock(&one);
    ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, offset);
    if (done > 0 && path_of(fd, path))
        record('w', fd, path, offset < 0 ? lseek(fd, 0, SEEK_CUR) - done : offset, data, done);
    pthread_mutex_unlock(&one);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset); }

/* Each piece is a write of its own, which may be lost without the others. */
static ssize_t written_in_pieces(int fd, const struct iovec *pieces, int count, off_t offset) {
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = written(fd, pieces[i].iov_base, pieces[i].iov_len, offset < 0 ? -1 : offset + total);
        if (done < 0) return total ? total : done;
        total += done;
    }
    return total;
}
ssize_t writev(int fd, const struct iovec *pieces, int count) { return written_in_pieces(fd, pieces, count, -1); }
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
    return written_in_pieces(fd, pieces, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset) {
    return written_in_pieces(fd, pieces, count, offset);
}

static int synced(int fd) {
    char path[PATH_MAX];
    struct stat status;
    pthread_mutex_lock(&one);
    if (path_of(fd, path) && !fstat(fd, &status))
        record(S_ISDIR(status.st_mode) ? 'd' : 's', fd, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return 0;
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static int cut(int fd, off_t size) {
    char path[PATH_MAX];
    pthread_mutex_lock(&one);
    int failed = syscall(SYS_ftruncate, fd, size);
    if (!failed && path_of(fd, path)) record('t', fd, path, size, NULL, 0);
    pthread_mutex_unlock(&one);
    return failed;
}
int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off_t size) { return cut(fd, size); }

int unlink(const char *path) {
    pthread_mutex_lock(&one);
    int failed = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (!failed && ours(path)) record('u', -1, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return failed;
}

int mkdir(const char *path, mode_t mode) {
    pthread_mutex_lock(&one);
    int failed = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (!failed && ours(path)) record('m', -1, path, 0, NULL, 0);
    pthread_mutex_unlock(&one);
    return failed;
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&one);
    int failed = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!failed && ours(from)) record('r', -1, from, 0, to, strlen(to));
    pthread_mutex_unlock(&one);
    return failed;
}
