# Two images: Monitor, the worker by default and the command by name; and, as target testbed, the testbed.
FROM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags=-s -o /out/ ./testbed/cmd/monitor-testbed \
 && go build -trimpath -ldflags=-s -o /out/monitor-worker ./worker \
 && go build -trimpath -ldflags=-s -o /out/monitor ./starter \
 && mkdir /out/world

# The testbed's nodes take commands in debug mode as real ones do, and so need a shell.
FROM gcr.io/distroless/static-debian12:debug-nonroot@sha256:d5563cc7f2f44313f332e91138cc8c6a158899afeeeab2fce3b0f9ccdb3cf9ee AS testbed
COPY --from=build --chown=nonroot:nonroot /out/world /world
COPY --from=build /out/monitor-testbed /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/monitor-testbed"]

FROM gcr.io/distroless/static-debian12:nonroot@sha256:afa5c872c891853ca7fcf1f12c3edb23f7eeef36189728842dd51042ff57f7ab
COPY --from=build --chown=nonroot:nonroot /out/world /world
COPY --from=build /out/monitor-worker /out/monitor /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/monitor-worker"]
CMD ["--config", "/etc/monitor/monitor.yaml"]
