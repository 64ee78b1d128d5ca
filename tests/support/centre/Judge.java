// SPDX-License-Identifier: Apache-2.0
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CRL;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertStore;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Judges a certificate by revocation lists and OCSP answers: a line for each, GOOD or the reason. */
class Judge {
    private static final CertificateFactory FACTORY = factory();

    /** root.cer, issuer.cer, holder.cer, milliseconds since 1970, then lists (.crl) and answers. */
    public static void main(String[] files) throws Exception {
        X509Certificate root = certificate(files[0]);
        X509Certificate issuer = certificate(files[1]);
        X509Certificate holder = certificate(files[2]);
        for (int at = 4; at < files.length; at++) {
            CertPathValidator validator = CertPathValidator.getInstance("PKIX");
            PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
            PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
            parameters.setDate(new Date(Long.parseLong(files[3])));
            byte[] read = bytes(files[at]);
            if (files[at].endsWith(".crl")) {
                checker.setOptions(Set.of(Option.PREFER_CRLS, Option.NO_FALLBACK, Option.ONLY_END_ENTITY));
                CRL list = FACTORY.generateCRL(new ByteArrayInputStream(read));
                parameters.addCertStore(
                        CertStore.getInstance("Collection", new CollectionCertStoreParameters(List.of(list))));
            } else {
                checker.setOptions(Set.of(Option.NO_FALLBACK, Option.ONLY_END_ENTITY));
                checker.setOcspResponses(Map.of(holder, read));
            }
            parameters.addCertPathChecker(checker);
            try {
                validator.validate(FACTORY.generateCertPath(List.of(holder, issuer)), parameters);
                System.out.println("GOOD");
            } catch (CertPathValidatorException error) {
                System.out.println(
                        error.getCause() instanceof CertificateRevokedException revoked
                                ? revoked.getRevocationReason()
                                : error);
            }
        }
    }

    private static X509Certificate certificate(String file) throws Exception {
        return (X509Certificate) FACTORY.generateCertificate(new ByteArrayInputStream(bytes(file)));
    }

    private static byte[] bytes(String file) throws IOException {
        return Files.readAllBytes(Path.of(file));
    }

    private static CertificateFactory factory() {
        try {
            return CertificateFactory.getInstance("X.509");
        } catch (java.security.cert.CertificateException error) {
            throw new IllegalStateException(error);
        }
    }
}
