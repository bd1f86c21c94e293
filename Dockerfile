# The static binary alone, as a user without rights, on an empty file system.
#
#   docker build -t smache .
#   docker run --rm -p 127.0.0.1:4000:4000 --read-only smache

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /smache ./cmd/smache

FROM scratch
COPY --from=build /smache /smache
USER 65534:65534
# Inside a container the loopback address reaches nobody; publish the port with care,
# and see --token-file.
ENV SMACHE_LISTEN=0.0.0.0:4000
EXPOSE 4000
HEALTHCHECK --interval=5s --timeout=2s CMD ["/smache", "status", "--quiet"]
ENTRYPOINT ["/smache"]
CMD ["serve"]
