# Hookway as a small image: the program and the C library, no shell, no package manager, not root.
#
#   docker build -t hookway .
#   docker run -d --name hookway -p 127.0.0.1:8080:8080 -v hookway-data:/data hookway
#
# docs/deploy.md says what to set, how to reach the admin key, and how to upgrade.

# The newest release of the toolchain that rust-toolchain.toml names. Same Debian as the image below, so that
# the C library fits.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The first-party plugins first: they go into the program.
RUN cargo xtask plugins \
 && cargo build --release --locked --package hookway --bin hookway \
 && strip target/release/hookway \
 && install -d -m 0700 /out/data \
 && install -D -m 0755 target/release/hookway /out/usr/local/bin/hookway

# glibc, libgcc and a user `nonroot` (65532); nothing else that could be run.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/usr/local/bin/hookway /usr/local/bin/hookway
# A new volume takes owner and mode from here: the keys in it are nobody else's to read.
COPY --from=build --chown=65532:65532 /out/data /data

ENV HOOKWAY_DATA_DIR=/data \
    HOOKWAY_LISTEN=0.0.0.0:8080 \
    HOOKWAY_LOG_FORMAT=json
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
# The first stops it gracefully (dispatch.drain, 25 s), the second at once: give `docker stop` more than that.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["hookway", "health", "--ready"]
ENTRYPOINT ["hookway"]
CMD ["serve"]
