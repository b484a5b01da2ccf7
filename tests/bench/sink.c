/* A stand-in for Amazon Kinesis to measure against: PutRecords and DescribeStreamSummary, on loopback.
 *
 *     sink LATENCY_MS REFUSED_PER_MILLE
 *
 * Prints its port, serves until standard input ends, then prints what it saw as one JSON object. It reads a
 * request only as far as it has to: it counts the records and does not decode them, so that the time that is
 * measured is the sender's. Each connection has a thread. It ends by itself after fifteen minutes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 64 * 1024, BODY = 32 << 20, MOST = 500, ENTRY = 192, SECONDS = 900 };

static long latency_ms, refused_per_mille;
static atomic_ullong requests, accepted, refused, bytes, drawn, sequence;

static int write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) return -1;
        data += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int answer(int fd, const char *status, const char *body, size_t size) {
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: application/x-amz-json-1.1\r\n"
                          "x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\nContent-Length: %zu\r\n\r\n",
                          status, size);
    if (write_all(fd, head, (size_t)length) < 0) return -1;
    return write_all(fd, body, size);
}

/* Whether the next record is refused: spread evenly, and the same in every run of one sender thread. */
static int refuses(void) {
    unsigned number = (unsigned)atomic_fetch_add(&drawn, 1);
    unsigned mixed = (number ^ (number >> 7)) * 2654435761u;
    return (long)((mixed >> 12) % 1000) < refused_per_mille;
}

/* A name can stand unescaped only outside a string, so this counts records and nothing else. */
static int count_records(const char *body, size_t size) {
    int count = 0;
    const char *at = body, *end = body + size;
    while ((at = memmem(at, (size_t)(end - at), "\"Data\":", 7)) != NULL) {
        count++;
        at += 7;
    }
    return count;
}

static int put_records(int fd, const char *body, size_t size) {
    static const char refusal[] = "{\"__type\":\"ValidationException\",\"message\":\"1 to 500 records\"}";
    int count = count_records(body, size), failed = 0;
    atomic_fetch_add(&requests, 1);
    atomic_fetch_add(&bytes, size);
    if (count < 1 || count > MOST) return answer(fd, "400 Bad Request", refusal, sizeof refusal - 1);
    char *entries = malloc((size_t)count * ENTRY + 64);
    if (entries == NULL) return -1;
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        const char *comma = i > 0 ? "," : "";
        if (refused_per_mille > 0 && refuses()) {
            failed++;
            length += (size_t)sprintf(entries + length,
                                      "%s{\"ErrorCode\":\"ProvisionedThroughputExceededException\","
                                      "\"ErrorMessage\":\"Rate exceeded for shard\"}",
                                      comma);
        } else {
            length += (size_t)sprintf(entries + length,
                                      "%s{\"SequenceNumber\":\"496450000000000000000000000000000000%020llu\","
                                      "\"ShardId\":\"shardId-000000000000\"}",
                                      comma, (unsigned long long)atomic_fetch_add(&sequence, 1));
        }
    }
    atomic_fetch_add(&accepted, (unsigned long long)(count - failed));
    atomic_fetch_add(&refused, (unsigned long long)failed);
    char *whole = malloc(length + 64);
    int result = -1;
    if (whole != NULL) {
        int total = sprintf(whole, "{\"FailedRecordCount\":%d,\"Records\":[", failed);
        memcpy(whole + total, entries, length);
        memcpy(whole + total + length, "]}", 2);
        result = answer(fd, "200 OK", whole, (size_t)total + length + 2);
    }
    free(entries);
    free(whole);
    return result;
}

static int describe(int fd) {
    static const char summary[] =
        "{\"StreamDescriptionSummary\":{\"StreamName\":\"bench\",\"StreamARN\":"
        "\"arn:aws:kinesis:eu-west-1:123456789012:stream/bench\",\"StreamStatus\":\"ACTIVE\","
        "\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"},\"OpenShardCount\":4,\"RetentionPeriodHours\":24,"
        "\"StreamCreationTimestamp\":1700000000,\"EnhancedMonitoring\":[]}}";
    return answer(fd, "200 OK", summary, sizeof summary - 1);
}

static void *serve(void *argument) {
    int fd = (int)(long)argument;
    char *head = malloc(HEAD + 1), *body = malloc(BODY);
    size_t have = 0;
    while (head != NULL && body != NULL) {
        char *end;
        head[have] = 0;
        while ((end = strstr(head, "\r\n\r\n")) == NULL) {
            ssize_t got = have < HEAD ? recv(fd, head + have, HEAD - have, 0) : 0;
            if (got <= 0) goto done;
            have += (size_t)got;
            head[have] = 0;
        }
        size_t head_size = (size_t)(end - head) + 4;
        *end = 0;
        const char *field = strcasestr(head, "\ncontent-length:");
        size_t size = field != NULL ? strtoul(field + 16, NULL, 10) : 0;
        int describing = strcasestr(head, "DescribeStreamSummary") != NULL;
        if (size > BODY) goto done;
        size_t early = have - head_size < size ? have - head_size : size;
        memcpy(body, head + head_size, early);
        have -= head_size + early;
        memmove(head, head + head_size + early, have);
        while (early < size) {
            ssize_t got = recv(fd, body + early, size - early, 0);
            if (got <= 0) goto done;
            early += (size_t)got;
        }
        if (latency_ms > 0 && !describing) {
            struct timespec pause = {latency_ms / 1000, latency_ms % 1000 * 1000000};
            nanosleep(&pause, NULL);
        }
        if ((describing ? describe(fd) : put_records(fd, body, size)) < 0) goto done;
    }
done:
    free(head);
    free(body);
    close(fd);
    return NULL;
}

static void *listen_forever(void *argument) {
    int listener = (int)(long)argument, one = 1;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve, (void *)(long)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    pthread_t thread;
    char forget[64];
    if (count != 3) return 2;
    latency_ms = strtol(arguments[1], NULL, 10);
    refused_per_mille = strtol(arguments[2], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    alarm(SECONDS);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 64) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        perror("sink");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    if (pthread_create(&thread, NULL, listen_forever, (void *)(long)listener) != 0) return 1;
    while (read(STDIN_FILENO, forget, sizeof forget) > 0) {
    }
    printf("{\"requests\":%llu,\"accepted\":%llu,\"refused\":%llu,\"bytes\":%llu}\n",
           (unsigned long long)requests, (unsigned long long)accepted, (unsigned long long)refused,
           (unsigned long long)bytes);
    return 0;
}
