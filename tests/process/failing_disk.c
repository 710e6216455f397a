/* A disk that fails, put between a program and its system by LD_PRELOAD.

   The name of a file says how: reads of "*.eio" beyond 256 KiB fail with EIO, in threads and by
   sendfile; "*.slow" is in no page cache, and its reads wait until "*.slow.go" is there. Any
   fstat of "*.stat" fails with EIO. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define GOOD (256 * 1024)

static int ends(int fd, const char *suffix, char *name) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, 4000);
    if (size < 0)
        return 0;
    name[size] = 0;
    size_t length = strlen(suffix);
    return (size_t)size >= length && strcmp(name + size - length, suffix) == 0;
}

static int fails(int fd, size_t *count, off_t offset) {
    char name[4100];
    if (ends(fd, ".slow", name)) {
        strcat(name, ".go");
        while (access(name, F_OK))
            usleep(1000);
    }
    if (!ends(fd, ".eio", name))
        return 0;
    if (offset >= GOOD) {
        errno = EIO;
        return 1;
    }
    if (offset + (off_t)*count > GOOD)
        *count = GOOD - offset;
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void *buffer, size_t count, off64_t offset) {
    return fails(fd, &count, offset) ? -1 : REAL(pread64)(fd, buffer, count, offset);
}

ssize_t pread(int fd, void *buffer, size_t count, off_t offset) {
    return fails(fd, &count, offset) ? -1 : REAL(pread)(fd, buffer, count, offset);
}

static int cold(int fd, int flags) {
    char name[4100];
    if (!(flags & RWF_NOWAIT))
        return 0;
    if (!ends(fd, ".slow", name) && !ends(fd, ".eio", name))
        return 0;
    errno = EAGAIN;
    return 1;
}

ssize_t preadv2(int fd, const struct iovec *io, int count, off_t offset, int flags) {
    return cold(fd, flags) ? -1 : REAL(preadv2)(fd, io, count, offset, flags);
}

ssize_t preadv64v2(int fd, const struct iovec *io, int count, off64_t offset, int flags) {
    return cold(fd, flags) ? -1 : REAL(preadv64v2)(fd, io, count, offset, flags);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
    char name[4100];
    if (ends(in, ".slow", name)) /* all of it was read before */
        return REAL(sendfile)(out, in, offset, count);
    return fails(in, &count, *offset) ? -1 : REAL(sendfile)(out, in, offset, count);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    char name[4100];
    if (ends(in, ".slow", name))
        return REAL(sendfile64)(out, in, offset, count);
    return fails(in, &count, *offset) ? -1 : REAL(sendfile64)(out, in, offset, count);
}

static int no_stat(int fd) {
    char name[4100];
    if (!ends(fd, ".stat", name))
        return 0;
    errno = EIO;
    return 1;
}

int fstat(int fd, struct stat *found) {
    return no_stat(fd) ? -1 : REAL(fstat)(fd, found);
}

int fstat64(int fd, struct stat64 *found) {
    return no_stat(fd) ? -1 : REAL(fstat64)(fd, found);
}
