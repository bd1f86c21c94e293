// floor PORT answers every read with the same HTTP answer, from two threads with an
// epoll loop each: one read and one write for each request, and nothing else. What
// it costs is what the kernel costs; scripts/bench-floor.sh compares servers with it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { events = 256 };

static int port;
static const char answer[] =
    "HTTP/1.1 200 OK\r\nServer: smache\r\nDate: Wed, 25 Nov 2026 15:00:00 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: 123\r\nETag: \"660e107544078000\"\r\n"
    "Smache-Age: 0.008\r\nCache-Status: smache; hit\r\nCache-Control: private, no-cache\r\n\r\n"
    "{\"key\":\"bench-0000000000\",\"data\":{\"id\":\"bench-0000000000\",\"lat\":59.574730,"
    "\"lng\":116.663252},\"node\":\"smache@127.0.0.1:4000\"}";

static void watch(int epoll, int fd) {
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) {
		perror("epoll_ctl");
		exit(1);
	}
}

static void *loop(void *unused) {
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 1024)) {
		perror("listen");
		exit(1);
	}
	watch(epoll, listener);
	char buf[8192];
	struct epoll_event ready[events];
	for (;;) {
		int n = epoll_wait(epoll, ready, events, -1);
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;
			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
				if (fd >= 0) {
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					watch(epoll, fd);
				}
			} else if (read(fd, buf, sizeof buf) <= 0 || write(fd, answer, sizeof answer - 1) < 0) {
				close(fd);
			}
		}
	}
	return unused;
}

int main(int argc, char **argv) {
	pthread_t other;
	port = argc > 1 ? atoi(argv[1]) : 0;
	pthread_create(&other, NULL, loop, NULL);
	loop(NULL);
}
