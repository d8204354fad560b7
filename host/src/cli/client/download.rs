//! Downloads: answers of any size, written to a file as they come.

use tokio::io::AsyncWriteExt as _;

use super::{Client, Failure};

impl Client {
    /// Writes what the router answers to a file. It takes as long as it takes: nobody knows how large it is.
    pub(in crate::cli) async fn download(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        file: std::fs::File,
    ) -> Result<(), Failure> {
        let request = self.http.get(self.api_url(path, query));
        let mut response = request.send().await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let mut file = tokio::fs::File::from_std(file);
        let broke_off = |error| {
            let what = "the router broke off in the middle; its log says why";
            Failure::because(what, self.unreachable(error))
        };
        let written = |error| Failure::io("cannot write what the router sends", error);
        while let Some(chunk) = response.chunk().await.map_err(broke_off)? {
            file.write_all(&chunk).await.map_err(written)?;
        }
        file.flush().await.map_err(written)?;
        file.sync_all().await.map_err(written)
    }
}
