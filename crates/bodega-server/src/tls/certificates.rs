//! Certificates by host name: exactly, by wildcard, else the default; read anew without a pause.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bodega_snapshot::options::CertificateFiles;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use webpki::EndEntityCert;

/// The certificates in force.
pub(crate) struct Certificates {
    provider: Arc<CryptoProvider>,
    strict_names: bool,
    table: ArcSwap<Table>,
}

/// Which names have which certificates. There may be several for a name, with keys of different kinds.
#[derive(Default)]
struct Table {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the first label of `*.example.com`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

/// What is wrong with a certificate or its key: which file, and what. Holds nothing of a key.
#[derive(Debug)]
pub struct CertificateError(String);

impl fmt::Display for CertificateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

impl Certificates {
    /// Reads all files.
    ///
    /// # Errors
    /// When one cannot be read, or a key does not belong to its certificate.
    pub(crate) fn load(
        provider: Arc<CryptoProvider>,
        files: &[CertificateFiles],
        strict_names: bool,
    ) -> Result<Self, CertificateError> {
        let table = ArcSwap::from_pointee(Table::read(&provider, files)?);
        Ok(Self { provider, strict_names, table })
    }

    /// Puts others in force for handshakes that begin from now on. If anything is wrong nothing changes.
    pub(crate) fn reload(&self, files: &[CertificateFiles]) -> Result<(), CertificateError> {
        self.table.store(Arc::new(Table::read(&self.provider, files)?));
        Ok(())
    }
}

impl Table {
    fn read(provider: &CryptoProvider, files: &[CertificateFiles]) -> Result<Self, CertificateError> {
        let mut table = Self::default();
        for pair in files {
            let key = Arc::new(read(provider, pair)?);
            let wrong = |error: webpki::Error| {
                CertificateError(format!("{}: no server certificate: {error}", pair.certificate))
            };
            let end_entity =
                key.end_entity_cert().map_err(|error| CertificateError(format!("{}: {error}", pair.certificate)))?;
            for name in EndEntityCert::try_from(end_entity).map_err(wrong)?.valid_dns_names() {
                let name = name.to_ascii_lowercase();
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut table.wildcard, parent.to_owned()),
                    None => (&mut table.exact, name),
                };
                names.entry(name).or_default().push(Arc::clone(&key));
            }
            if table.default.is_empty() {
                table.default.push(key);
            }
        }
        Ok(table)
    }

    fn find(&self, name: Option<&str>, strict: bool) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else {
            return if strict { &[] } else { &self.default };
        };
        // RFC 9525 section 6.3: a wildcard stands for one whole label.
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let found = self.exact.get(name).or_else(|| self.wildcard.get(parent?));
        match found {
            Some(found) => found,
            None if strict => &[],
            None => &self.default,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        // rustls gives the name in lower case.
        let found = table.find(client_hello.server_name(), self.strict_names);
        let usable = found.iter().find(|key| key.key.choose_scheme(client_hello.signature_schemes()).is_some());
        usable.map(Arc::clone)
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.load();
        let names: Vec<&String> = table.exact.keys().chain(table.wildcard.keys()).collect();
        formatter.debug_struct("Certificates").field("names", &names).finish_non_exhaustive()
    }
}

fn read(provider: &CryptoProvider, files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
    let wrong = |path: &str, what: &dyn fmt::Display| CertificateError(format!("{path}: {what}"));
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(&files.certificate, &"no certificate in PEM form is in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| wrong(&files.key, &format!("the key of {}: {error}", files.certificate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a certificate for `names` and its key; the folder goes with the guard.
    fn written(folder: &std::path::Path, file: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        CertificateFiles { certificate: certificate.display().to_string(), key: key.display().to_string() }
    }

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    #[test]
    fn a_name_is_found_exactly_then_by_wildcard_then_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            written(folder.path(), "default", &["default.example"]),
            written(folder.path(), "wild", &["*.shop.example", "shop.example"]),
            written(folder.path(), "exact", &["a.shop.example"]),
        ];
        let table = Table::read(&provider(), &files).unwrap();
        for (name, strict, expected) in [
            (Some("a.shop.example"), true, Some(2)),
            (Some("b.shop.example"), true, Some(1)),
            (Some("shop.example"), true, Some(1)),
            (Some("x.b.shop.example"), false, Some(0)),
            (Some("x.b.shop.example"), true, None),
            (Some("elsewhere.example"), false, Some(0)),
            (None, false, Some(0)),
            (None, true, None),
        ] {
            let found = table.find(name, strict).first().map(|key| key.cert[0].clone());
            let wanted = expected.map(|index: usize| CertificateDer::from_pem_file(&files[index].certificate).unwrap());
            assert_eq!(found, wanted, "{name:?} strict {strict}");
        }
    }

    #[test]
    fn a_reload_with_something_wrong_names_the_file_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let good = written(folder.path(), "good", &["good.example"]);
        let other = written(folder.path(), "other", &["other.example"]);
        let certificates = Certificates::load(provider(), std::slice::from_ref(&good), false).unwrap();
        let empty = folder.path().join("empty.pem").display().to_string();
        std::fs::write(&empty, "nothing").unwrap();
        let missing = folder.path().join("missing.pem").display().to_string();
        for (files, named, what) in [
            (CertificateFiles { key: other.key.clone(), ..good.clone() }, &other.key, "key"),
            (CertificateFiles { certificate: empty.clone(), ..good.clone() }, &empty, "no certificate"),
            (CertificateFiles { certificate: missing.clone(), ..good.clone() }, &missing, "No such file"),
            (CertificateFiles { key: empty.clone(), ..good.clone() }, &empty, ""),
        ] {
            let error = certificates.reload(&[other.clone(), files]).unwrap_err().to_string();
            assert!(error.starts_with(named.as_str()) && error.contains(what), "{error}");
            assert!(certificates.table.load().exact.contains_key("good.example"));
        }
        certificates.reload(&[other]).unwrap();
        assert!(certificates.table.load().exact.contains_key("other.example"));
    }
}
