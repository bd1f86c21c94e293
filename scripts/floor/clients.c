// clients PORT CONNECTIONS REQUESTS FILE sends the bytes of FILE on each of the
// connections, and again as soon as something comes back, until there were so many
// requests. Answers have to come in one piece and to begin as a hit of HTTP or
// memcached does. It costs about as little as a client can.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { events = 256, patience = 5000 };

static void die(const char *why) {
	fprintf(stderr, "clients: %s\n", why);
	exit(1);
}

int main(int argc, char **argv) {
	if (argc != 5) die("usage: clients PORT CONNECTIONS REQUESTS FILE");
	int connections = atoi(argv[2]), epoll = epoll_create1(0), one = 1;
	long total = atol(argv[3]), sent = 0;
	static char request[4096], buf[65536];
	FILE *file = fopen(argv[4], "r");
	size_t length = file ? fread(request, 1, sizeof request, file) : 0;
	if (length == 0) die("no request in FILE");
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	for (int i = 0; i < connections; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&a, sizeof a)) die("cannot connect");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
		if (sent < total && write(fd, request, length) == (ssize_t)length) sent++;
	}
	struct epoll_event ready[events];
	for (long done = 0; done < total;) {
		int n = epoll_wait(epoll, ready, events, patience);
		if (n <= 0) die("no answer");
		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;
			if (read(fd, buf, sizeof buf) <= 0) die("a connection was closed");
			if (strncmp(buf, "HTTP/1.1 200", 12) && strncmp(buf, "VALUE ", 6)) die("an answer is no hit");
			done++;
			if (sent < total && write(fd, request, length) == (ssize_t)length) sent++;
		}
	}
}
