# Two images: Monitor, the worker by default and the command by name; and, as target testbed, the testbed.
FROM golang:1.26-bookworm AS build
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
FROM gcr.io/distroless/static-debian12:debug-nonroot AS testbed
COPY --from=build --chown=nonroot:nonroot /out/world /world
COPY --from=build /out/monitor-testbed /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/monitor-testbed"]

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=nonroot:nonroot /out/world /world
COPY --from=build /out/monitor-worker /out/monitor /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/monitor-worker"]
CMD ["--config", "/etc/monitor/monitor.yaml"]
