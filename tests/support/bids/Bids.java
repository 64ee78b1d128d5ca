// SPDX-License-Identifier: Apache-2.0

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.HexFormat;
import javax.crypto.SecretKey;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;

/** Opens and seals bids with BouncyCastle. Files are in the working directory, certificates and keys in DER. */
public final class Bids {
    private static final BouncyCastleProvider PROVIDER = new BouncyCastleProvider();

    /** What a key is hashed with. */
    private static final byte[] COMMITTED = "xca-bid-key/1".getBytes(StandardCharsets.US_ASCII);

    private static byte[] read(String name) throws Exception {
        return Files.readAllBytes(Path.of(name));
    }

    private static X509Certificate certificate(String name) throws Exception {
        return (X509Certificate)
                CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(read(name + ".cer")));
    }

    private static byte[] open(byte[] envelope, String name) throws Exception {
        PrivateKey key = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(read(name + ".key")));
        RecipientInformation own =
                new CMSAuthEnvelopedData(envelope).getRecipientInfos().get(new JceKeyTransRecipientId(certificate(name)));
        return own.getContent(new JceKeyTransAuthEnvelopedRecipient(key).setProvider(PROVIDER));
    }

    private static String committed(OutputAEADEncryptor encryptor) throws Exception {
        Object key = encryptor.getKey().getRepresentation();
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(COMMITTED);
        digest.update(key instanceof SecretKey secret ? secret.getEncoded() : (byte[]) key);
        return HexFormat.of().formatHex(digest.digest());
    }

    private static OutputAEADEncryptor encryptor() throws Exception {
        return (OutputAEADEncryptor)
                new JceCMSContentEncryptorBuilder(CMSAlgorithm.AES256_GCM).setProvider(PROVIDER).build();
    }

    private static byte[] encrypted(byte[] content, OutputAEADEncryptor encryptor, String... names) throws Exception {
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        for (String name : names) {
            generator.addRecipientInfoGenerator(
                    new JceKeyTransRecipientInfoGenerator(certificate(name)).setProvider(PROVIDER));
        }
        return generator.generate(new CMSProcessableByteArray(content), encryptor)
                .toASN1Structure()
                .getEncoded(ASN1Encoding.DER);
    }

    /** Arguments: open SEALED OUTER INNER, or seal ARCHIVE OUTER OUTER INNER INNER: names of cards. */
    public static void main(String[] arguments) throws Exception {
        byte[] given = read(arguments[1]);
        if (arguments[0].equals("open")) {
            int header = 0;
            while (given[header++] != '\n') {}
            byte[] outer = java.util.Arrays.copyOfRange(given, header, given.length);
            System.out.write(open(open(outer, arguments[2]), arguments[3]));
        } else {
            OutputAEADEncryptor outer = encryptor();
            OutputAEADEncryptor inner = encryptor();
            byte[] within = encrypted(given, inner, arguments[4], arguments[5]);
            byte[] around = encrypted(within, outer, arguments[2], arguments[3]);
            String header = "xca-sealed-bid/1 " + committed(outer) + " " + committed(inner) + "\n";
            ByteArrayOutputStream sealed = new ByteArrayOutputStream();
            sealed.write(header.getBytes(StandardCharsets.US_ASCII));
            sealed.write(around);
            System.out.write(sealed.toByteArray());
        }
        System.out.flush();
    }
}
