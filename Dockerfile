# One image with every program of Monitor: the worker by default, the command and the testbed by name.
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

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=nonroot:nonroot /out/world /world
COPY --from=build /out/monitor-worker /out/monitor /out/monitor-testbed /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/monitor-worker"]
CMD ["--config", "/etc/monitor/monitor.yaml"]
